package main

import (
	"context"
	"fmt"

	"github.com/argoproj/argo-cd/gitops-engine/pkg/health"
)

func (f *fleet) prune(ctx context.Context, second commit) error {
	serving, err := f.decide(ctx)
	if err != nil {
		return err
	}
	if err := f.sync(ctx, second.withoutModel("support-v1")); err != nil {
		return err
	}
	if err := f.waitForDeletedInUse(ctx); err != nil {
		return err
	}
	if _, err := f.waitForHealth(ctx, health.HealthStatusProgressing, "Shadow"); err != nil {
		return err
	}
	if err := f.stillServes(ctx, serving); err != nil {
		return err
	}
	holds("a prune of the old model while it serves is told (ModelDeletedInUse) and ends neither serving nor the trial")
	return nil
}

func (f *fleet) pruneNamed(ctx context.Context, first commit) error {
	serving, err := f.decide(ctx)
	if err != nil {
		return err
	}
	if err := f.sync(ctx, first.withoutModel("support-v1")); err != nil {
		return err
	}
	// Nobody knows what the spec asks for now, so the trial goes on as well.
	if _, err := f.waitForHealth(ctx, health.HealthStatusDegraded, "Shadow"); err != nil {
		return err
	}
	if err := f.waitForDeletedInUse(ctx); err != nil {
		return err
	}
	if err := f.stillServes(ctx, serving); err != nil {
		return err
	}
	if err := f.sync(ctx, first); err != nil {
		return err
	}
	if _, err := f.waitForServing(ctx, "support-v1"); err != nil {
		return err
	}
	holds("a prune of the model that the policy names is Degraded and ends no serving; when Git has it again, Healthy")
	return nil
}

// waitForDeletedInUse waits until the policy says that a model it uses has no RouterModel any more.
func (f *fleet) waitForDeletedInUse(ctx context.Context) error {
	return eventually(ctx, "ModelResolved is False: ModelDeletedInUse", func() error {
		policy, err := f.policy(ctx)
		if err != nil {
			return err
		}
		if status, reason, _ := conditionOf(policy, "ModelResolved"); status != "False" || reason != "ModelDeletedInUse" {
			return fmt.Errorf("it is %s: %s", status, reason)
		}
		return nil
	})
}

// stillServes makes sure that the fleet is Ready and decides with the model it decided with before.
func (f *fleet) stillServes(ctx context.Context, digest string) error {
	policy, err := f.policy(ctx)
	if err != nil {
		return err
	}
	if ready, reason, _ := conditionOf(policy, "Ready"); ready != "True" {
		return fmt.Errorf("a pruned model may not end serving: Ready is %s (%s)", ready, reason)
	}
	serving, err := f.decide(ctx)
	if err != nil {
		return err
	}
	if serving != digest {
		return fmt.Errorf("a pruned model may not change what serves: %s became %s", digest, serving)
	}
	return nil
}
