package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

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
		func() error { return f.wrongArtifact(ctx, first) },
		func() error { return f.trial(ctx, second) },
		func() error { return f.pauseAndResume(ctx, second) },
		func() error { return f.revert(ctx, first) },
		func() error { return f.promoteAndRevert(ctx, first, second) },
		func() error { return f.abortAndRetry(ctx, first, second) },
		func() error { return f.prune(ctx, second) },
		func() error { return f.pruneNamed(ctx, first) },
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
	policy, err := f.waitForServing(ctx, "support-v1")
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

func (f *fleet) wrongArtifact(ctx context.Context, first commit) error {
	wrong, err := first.copying("support-v2", "support-wrong", "sha256:"+strings.Repeat("0", 64))
	if err != nil {
		return err
	}
	if wrong, err = wrong.naming("support-wrong"); err != nil {
		return err
	}
	if err := f.sync(ctx, wrong); err == nil || !strings.Contains(err.Error(), "DigestMismatch") {
		return fmt.Errorf("a sync with a model of another digest must fail by that and gives: %v", err)
	}
	policy, err := f.policy(ctx)
	if err != nil {
		return err
	}
	if named, _, _ := unstructured.NestedString(policy.Object, "spec", "model", "name"); named != "support-v1" {
		return fmt.Errorf("the policy may not come to name %s", named)
	}
	if err := f.sync(ctx, first); err != nil {
		return err
	}
	holds("a model whose artifact is wrong fails the sync before the policy names it")
	return nil
}
