package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/argoproj/argo-cd/gitops-engine/pkg/health"
	jsonpatch "github.com/evanphx/json-patch/v5"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

// The policy of the samples.
const policyName = "support"

// A fleet is a synced application with eyes and hands on its policy.
type fleet struct {
	*application
	clients *clients
}

func (f *fleet) policy(ctx context.Context) (*unstructured.Unstructured, error) {
	return f.clients.get(ctx, policies, f.namespace, policyName)
}

// waitForHealth waits until Argo CD shows the policy so, and gives it as it is then.
func (f *fleet) waitForHealth(ctx context.Context, wanted health.HealthStatusCode, state string) (*unstructured.Unstructured, error) {
	var policy *unstructured.Unstructured
	err := eventually(ctx, fmt.Sprintf("the policy is %s in %s", wanted, state), func() error {
		var err error
		if policy, err = f.policy(ctx); err != nil {
			return err
		}
		found, err := f.overrides.GetResourceHealth(policy)
		if err != nil {
			return fmt.Errorf("the script failed: %w", err)
		}
		if shown := stateOf(policy); found == nil || found.Status != wanted || shown != state {
			return fmt.Errorf("it is %+v in %s", found, shown)
		}
		return nil
	})
	return policy, err
}

// waitForServing waits until Argo CD shows the policy as Healthy with this model.
func (f *fleet) waitForServing(ctx context.Context, model string) (*unstructured.Unstructured, error) {
	var policy *unstructured.Unstructured
	err := eventually(ctx, model+" serves", func() error {
		var err error
		if policy, err = f.waitForHealth(ctx, health.HealthStatusHealthy, "Stable"); err != nil {
			return err
		}
		if stable, _, _ := unstructured.NestedString(policy.Object, "status", "stable", "name"); stable != model {
			return fmt.Errorf("%s does", stable)
		}
		return nil
	})
	return policy, err
}

// act runs an action and sends what Argo CD's server sends for it.
func (f *fleet) act(ctx context.Context, action string) error {
	policy, err := f.policy(ctx)
	if err != nil {
		return err
	}
	changed, err := act(policy, action, f.overrides)
	if err != nil {
		return err
	}
	before, err := json.Marshal(policy)
	if err != nil {
		return fmt.Errorf("failed to print the policy: %w", err)
	}
	after, err := json.Marshal(changed)
	if err != nil {
		return fmt.Errorf("failed to print the policy: %w", err)
	}
	patch, err := jsonpatch.CreateMergePatch(before, after)
	if err != nil {
		return fmt.Errorf("failed to make the patch of %s: %w", action, err)
	}
	_, err = f.clients.dynamic.Resource(policies).Namespace(f.namespace).
		Patch(ctx, policyName, types.MergePatchType, patch, metav1.PatchOptions{})
	if err != nil {
		return fmt.Errorf("failed to send the patch of %s: %w", action, err)
	}
	return nil
}

// decide asks the fleet for a decision, and gives the digest of the model that made it.
func (f *fleet) decide(ctx context.Context) (string, error) {
	answer, err := f.clients.typed.CoreV1().RESTClient().Post().
		Namespace(f.namespace).Resource("services").Name(policyName+":80").SubResource("proxy").Suffix("v1/route").
		SetHeader("content-type", "application/json").
		Body([]byte(`{"text": "What is the capital of France?"}`)).
		DoRaw(ctx)
	if err != nil {
		return "", fmt.Errorf("failed to ask the fleet: %w", err)
	}
	var decision struct {
		Digest     string `json:"digest"`
		Classified bool   `json:"classified"`
	}
	if err := json.Unmarshal(answer, &decision); err != nil {
		return "", fmt.Errorf("failed to read the fleet's answer: %w", err)
	}
	if !decision.Classified {
		return "", errors.New("the fleet must decide with a model and does not")
	}
	return decision.Digest, nil
}

// versions gives the resourceVersion of everything that a commit brought: it moves with every write.
func (f *fleet) versions(commit commit) (map[string]string, error) {
	live, err := f.cache.GetManagedLiveObjs(f.targets(commit), f.isManaged)
	if err != nil {
		return nil, fmt.Errorf("failed to find what is live: %w", err)
	}
	versions := make(map[string]string, len(live))
	for key, object := range live {
		versions[key.String()] = object.GetResourceVersion()
	}
	return versions, nil
}

func stateOf(policy *unstructured.Unstructured) string {
	state, _, _ := unstructured.NestedString(policy.Object, "status", "rollout", "state")
	return state
}

// conditionOf gives status, reason and time of a condition.
func conditionOf(object *unstructured.Unstructured, type_ string) (status, reason, since string) {
	conditions, _, _ := unstructured.NestedSlice(object.Object, "status", "conditions")
	for _, entry := range conditions {
		condition, _ := entry.(map[string]any)
		if condition["type"] == type_ {
			status, _ = condition["status"].(string)
			reason, _ = condition["reason"].(string)
			since, _ = condition["lastTransitionTime"].(string)
		}
	}
	return status, reason, since
}
