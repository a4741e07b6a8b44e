package main

import (
	"context"
	"fmt"

	"github.com/argoproj/argo-cd/gitops-engine/pkg/health"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

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
	policy, err := f.waitForServing(ctx, "support-v1")
	if err != nil {
		return err
	}
	if quarantined, _, _ := unstructured.NestedSlice(policy.Object, "status", "quarantined"); len(quarantined) > 0 {
		return fmt.Errorf("a revert may quarantine nothing: %v", quarantined)
	}
	holds("a revert in the trial is synced at once and leads back to Healthy, without quarantine")
	return nil
}

func (f *fleet) promoteAndRevert(ctx context.Context, first, second commit) error {
	if err := f.sync(ctx, second); err != nil {
		return err
	}
	if _, err := f.waitForHealth(ctx, health.HealthStatusProgressing, "Shadow"); err != nil {
		return err
	}
	if err := f.act(ctx, "promote"); err != nil {
		return err
	}
	policy, err := f.waitForServing(ctx, "support-v2")
	if err != nil {
		return err
	}
	if offered, err := offers(policy, f.overrides); err != nil || offered["abort"].Disabled {
		return fmt.Errorf("abort must be offered in the watch after a promotion: %+v (%v)", offered, err)
	}
	if err := f.sync(ctx, first); err != nil {
		return err
	}
	if _, err := f.waitForServing(ctx, "support-v1"); err != nil {
		return err
	}
	holds("the action promote leads to Healthy with the new model, and a revert in its watch back to the old one")
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
	if _, err := f.waitForServing(ctx, "support-v1"); err != nil {
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
