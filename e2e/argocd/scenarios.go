package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/argoproj/argo-cd/gitops-engine/pkg/health"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// The namespace that the repository names.
const fleetNamespace = "gitops"

// checkSync runs the life of a fleet under GitOps, from the first sync to the prune of a model that serves.
func checkSync(ctx context.Context, checkout string) (err error) {
	clients, err := connect()
	if err != nil {
		return err
	}
	// What an interrupted run left would be somebody else's evidence.
	if err := clients.removeNamespace(ctx, fleetNamespace); err != nil {
		return err
	}
	if err := clients.makeNamespace(ctx, fleetNamespace); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, clients.removeNamespace(context.WithoutCancel(ctx), fleetNamespace)) }()
	if err := checkSchema(ctx, clients, checkout); err != nil {
		return err
	}
	if err := install(ctx, clients.typed, checkout, fleetNamespace); err != nil {
		return err
	}
	scripts, err := overrides(ctx, clients.typed, fleetNamespace)
	if err != nil {
		return err
	}
	holds("server-side apply of config/argocd adds the scripts to argocd-cm and leaves its other keys")
	application, err := newApplication(clients.config, scripts, fleetNamespace)
	if err != nil {
		return err
	}
	defer application.cache.Invalidate()
	first, err := firstCommit(checkout)
	if err != nil {
		return err
	}
	return (&fleet{application, clients}).live(ctx, first)
}

// live is the life of the fleet, in its order.
func (f *fleet) live(ctx context.Context, first commit) error {
	second, err := first.naming("support-v2")
	if err != nil {
		return err
	}
	for _, chapter := range []func() error{
		func() error { return f.firstSync(ctx, first) },
		func() error { return f.secondSync(ctx, first) },
		func() error { return f.trial(ctx, second) },
		func() error { return f.pauseAndResume(ctx, second) },
		func() error { return f.revert(ctx, first) },
		func() error { return f.abortAndRetry(ctx, first, second) },
		func() error { return f.prune(ctx, second) },
	} {
		if err := chapter(); err != nil {
			return err
		}
	}
	return nil
}

func (f *fleet) firstSync(ctx context.Context, first commit) error {
	if err := f.sync(ctx, first); err != nil {
		return err
	}
	policy, err := f.waitForHealth(ctx, health.HealthStatusHealthy, "Stable")
	if err != nil {
		return err
	}
	for _, name := range []string{"support-v1", "support-v2"} {
		model, err := f.clients.get(ctx, models, f.namespace, name)
		if err != nil {
			return err
		}
		_, _, since := conditionOf(model, "Verified")
		verified, err := time.Parse(time.RFC3339, since)
		if err != nil {
			return fmt.Errorf("%s must say when it was verified: %w", name, err)
		}
		if policy.GetCreationTimestamp().Time.Before(verified) {
			return fmt.Errorf("the policy's wave must wait until %s is verified", name)
		}
	}
	holds("a first sync makes the operator, then the models, then the policy, and the policy becomes Healthy")
	return nil
}

func (f *fleet) secondSync(ctx context.Context, first commit) error {
	if err := f.waitInSync(ctx, first); err != nil {
		return err
	}
	var before map[string]string
	err := eventually(ctx, "everything has come to rest", func() error {
		then, err := f.versions(first)
		if err != nil {
			return err
		}
		time.Sleep(3 * time.Second)
		if before, err = f.versions(first); err != nil {
			return err
		}
		if !maps.Equal(then, before) {
			return errors.New("something is still being written")
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := f.sync(ctx, first); err != nil {
		return err
	}
	// A write would reach the cache by its watch within this time.
	if err := f.staysInSync(first, 3); err != nil {
		return err
	}
	after, err := f.versions(first)
	if err != nil {
		return err
	}
	if !maps.Equal(before, after) {
		return fmt.Errorf("a second sync may write nothing: %v became %v", before, after)
	}
	holds("a second sync finds no difference in %d objects and writes none of them", len(after))
	return nil
}

func (f *fleet) trial(ctx context.Context, second commit) error {
	if err := f.sync(ctx, second); err != nil {
		return err
	}
	if _, err := f.waitForHealth(ctx, health.HealthStatusProgressing, "Shadow"); err != nil {
		return err
	}
	if err := f.waitInSync(ctx, second); err != nil {
		return err
	}
	if err := f.staysInSync(second, 3); err != nil {
		return err
	}
	holds("a commit that names another model starts a trial: Progressing, and in sync all the while")
	return nil
}

func (f *fleet) pauseAndResume(ctx context.Context, second commit) error {
	if err := f.act(ctx, "pause"); err != nil {
		return err
	}
	if _, err := f.waitForHealth(ctx, health.HealthStatusSuspended, "Paused"); err != nil {
		return err
	}
	if err := f.staysInSync(second, 2); err != nil {
		return err
	}
	outspoken, err := second.saying(false, "paused")
	if err != nil {
		return err
	}
	names, err := f.difference(outspoken)
	if err != nil {
		return err
	}
	if len(names) != 1 {
		return fmt.Errorf("a commit that says `paused: false` must differ in the policy alone and does in %v", names)
	}
	if err := f.act(ctx, "resume"); err != nil {
		return err
	}
	if _, err := f.waitForHealth(ctx, health.HealthStatusProgressing, "Shadow"); err != nil {
		return err
	}
	holds("the actions pause and resume lead to Suspended and back; that is no difference unless Git says `paused` itself")
	return nil
}

func (f *fleet) revert(ctx context.Context, first commit) error {
	if err := f.sync(ctx, first); err != nil {
		return err
	}
	policy, err := f.waitForHealth(ctx, health.HealthStatusHealthy, "Stable")
	if err != nil {
		return err
	}
	if quarantined, _, _ := unstructured.NestedSlice(policy.Object, "status", "quarantined"); len(quarantined) > 0 {
		return fmt.Errorf("a revert may quarantine nothing: %v", quarantined)
	}
	holds("a revert in the trial is synced at once and leads back to Healthy, without quarantine")
	return nil
}

func (f *fleet) abortAndRetry(ctx context.Context, first, second commit) error {
	if err := f.sync(ctx, second); err != nil {
		return err
	}
	if _, err := f.waitForHealth(ctx, health.HealthStatusProgressing, "Shadow"); err != nil {
		return err
	}
	if err := f.act(ctx, "abort"); err != nil {
		return err
	}
	if _, err := f.waitForHealth(ctx, health.HealthStatusDegraded, "RolledBack"); err != nil {
		return err
	}
	holds("the action abort leads to Degraded while Git names the model that was rolled back")
	if err := f.sync(ctx, first); err != nil {
		return err
	}
	if _, err := f.waitForHealth(ctx, health.HealthStatusHealthy, "Stable"); err != nil {
		return err
	}
	holds("a revert after the roll-back is synced although Git still has the model, and leads to Healthy")
	if err := f.sync(ctx, second); err != nil {
		return err
	}
	if _, err := f.waitForHealth(ctx, health.HealthStatusDegraded, "Stable"); err != nil {
		return err
	}
	if err := f.act(ctx, "retry"); err != nil {
		return err
	}
	if _, err := f.waitForHealth(ctx, health.HealthStatusProgressing, "Shadow"); err != nil {
		return err
	}
	holds("naming it again is Degraded and serves nothing of it, until the action retry starts another trial")
	return nil
}

func (f *fleet) prune(ctx context.Context, second commit) error {
	serving, err := f.decide(ctx)
	if err != nil {
		return err
	}
	pruned := second.without("RouterModel", "support-v1").without("ConfigMap", "support-v1")
	if err := f.sync(ctx, pruned); err != nil {
		return err
	}
	err = eventually(ctx, "ModelResolved is False: ModelDeletedInUse", func() error {
		policy, err := f.policy(ctx)
		if err != nil {
			return err
		}
		if status, reason, _ := conditionOf(policy, "ModelResolved"); status != "False" || reason != "ModelDeletedInUse" {
			return fmt.Errorf("it is %s: %s", status, reason)
		}
		return nil
	})
	if err != nil {
		return err
	}
	policy, err := f.waitForHealth(ctx, health.HealthStatusProgressing, "Shadow")
	if err != nil {
		return err
	}
	if ready, reason, _ := conditionOf(policy, "Ready"); ready != "True" {
		return fmt.Errorf("a pruned model may not end serving: Ready is %s (%s)", ready, reason)
	}
	still, err := f.decide(ctx)
	if err != nil {
		return err
	}
	if still != serving {
		return fmt.Errorf("a pruned model may not change what serves: %s became %s", serving, still)
	}
	holds("a prune of the old model while it serves is told (ModelDeletedInUse) and ends neither serving nor the trial")
	return nil
}
