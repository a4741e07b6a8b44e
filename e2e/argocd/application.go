package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/argoproj/argo-cd/gitops-engine/pkg/cache"
	"github.com/argoproj/argo-cd/gitops-engine/pkg/diff"
	"github.com/argoproj/argo-cd/gitops-engine/pkg/sync"
	"github.com/argoproj/argo-cd/gitops-engine/pkg/sync/common"
	"github.com/argoproj/argo-cd/gitops-engine/pkg/utils/kube"
	"github.com/argoproj/argo-cd/gitops-engine/pkg/utils/tracing"
	"github.com/argoproj/argo-cd/v3/util/lua"
	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
)

// Argo CD's mark on what an application manages.
const trackingAnnotation = "argocd.argoproj.io/tracking-id"

// What Argo CD applies with.
var kubectl = &kube.KubectlCmd{Log: logr.Discard(), Tracer: tracing.NopTracer{}}

// An application is what Argo CD makes of one Application: it syncs a commit to a namespace.
type application struct {
	config    *rest.Config
	cache     cache.ClusterCache
	overrides lua.ResourceHealthOverrides
	namespace string
}

// newApplication starts Argo CD's view of a namespace.
func newApplication(config *rest.Config, overrides lua.ResourceHealthOverrides, namespace string) (*application, error) {
	live := cache.NewClusterCache(config,
		cache.SetNamespaces([]string{namespace}),
		cache.SetLogr(logr.Discard()),
		cache.SetPopulateResourceInfoHandler(func(object *unstructured.Unstructured, _ bool) (any, bool) {
			mark := object.GetAnnotations()[trackingAnnotation]
			return mark, mark != ""
		}),
	)
	if err := live.EnsureSynced(); err != nil {
		return nil, fmt.Errorf("failed to see what is in %s: %w", namespace, err)
	}
	return &application{config, live, overrides, namespace}, nil
}

// isManaged tells what this application brought, so that what a commit lacks is pruned.
func (a *application) isManaged(resource *cache.Resource) bool {
	return resource.Info == a.mark(resource.ResourceKey())
}

func (a *application) mark(key kube.ResourceKey) string {
	return fmt.Sprintf("%s:%s/%s:%s/%s", a.namespace, key.Group, key.Kind, key.Namespace, key.Name)
}

// targets gives the objects of a commit with this application's mark.
func (a *application) targets(commit commit) []*unstructured.Unstructured {
	marked := make([]*unstructured.Unstructured, 0, len(commit))
	for _, object := range commit {
		object = object.DeepCopy()
		annotations := object.GetAnnotations()
		if annotations == nil {
			annotations = map[string]string{}
		}
		annotations[trackingAnnotation] = a.mark(kube.GetResourceKey(object))
		object.SetAnnotations(annotations)
		marked = append(marked, object)
	}
	return marked
}

// compare finds what is live for a commit.
func (a *application) compare(commit commit) (sync.ReconciliationResult, error) {
	targets := a.targets(commit)
	live, err := a.cache.GetManagedLiveObjs(targets, a.isManaged)
	if err != nil {
		return sync.ReconciliationResult{}, fmt.Errorf("failed to find what is live: %w", err)
	}
	return sync.Reconcile(targets, live, a.namespace, a.cache), nil
}

// sync brings the namespace to a commit, wave by wave, and fails where it does not get there in time.
func (a *application) sync(ctx context.Context, commit commit) error {
	var phase common.OperationPhase
	var message string
	var results []common.ResourceSyncResult
	started := metav1.Now()
	// Like Argo CD's controller, and unlike the engine's own loop, each look compares anew: a wave is over when what it made
	// is Healthy now.
	for looked := time.Duration(0); looked < patience; looked += time.Second {
		found, err := a.compare(commit)
		if err != nil {
			return err
		}
		look, cleanup, err := sync.NewSyncContext("commit", found, a.config, a.config, kubectl, a.namespace,
			sync.WithInitialState(phase, message, results, started),
			sync.WithHealthOverride(a.overrides),
			sync.WithPrune(true),
			sync.WithLogr(logr.Discard()),
		)
		if err != nil {
			return fmt.Errorf("failed to start a sync: %w", err)
		}
		look.Sync()
		phase, message, results = look.GetState()
		cleanup()
		if phase.Completed() {
			if !phase.Successful() {
				return fmt.Errorf("failed to sync: %s: %s", message, told(results, common.OperationFailed, common.OperationError))
			}
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
		}
	}
	return fmt.Errorf("a sync must end: %s: %s", message, told(results, common.OperationRunning))
}

// told names the resources that came to one of these phases.
func told(results []common.ResourceSyncResult, phases ...common.OperationPhase) string {
	var texts []string
	for _, result := range results {
		if slices.Contains(phases, result.HookPhase) {
			key := result.ResourceKey
			texts = append(texts, fmt.Sprintf("%s: %s", key.String(), result.Message))
		}
	}
	return strings.Join(texts, "; ")
}

// difference names the objects that differ from a commit, as Argo CD's OutOfSync does.
func (a *application) difference(commit commit) ([]string, error) {
	found, err := a.compare(commit)
	if err != nil {
		return nil, err
	}
	differences, err := diff.DiffArray(found.Target, found.Live, diff.WithLogr(logr.Discard()))
	if err != nil {
		return nil, fmt.Errorf("failed to compare: %w", err)
	}
	var names []string
	for i, difference := range differences.Diffs {
		if difference.Modified {
			object := found.Target[i]
			if object == nil {
				object = found.Live[i]
			}
			key := kube.GetResourceKey(object)
			names = append(names, key.String())
		}
	}
	return names, nil
}

// waitInSync waits until what is live is as the commit says; the engine sees it by watches, a moment late.
func (a *application) waitInSync(ctx context.Context, commit commit) error {
	return eventually(ctx, "nothing differs from the commit", func() error {
		names, err := a.difference(commit)
		if err == nil && len(names) > 0 {
			err = fmt.Errorf("%s differ", strings.Join(names, ", "))
		}
		return err
	})
}

// staysInSync looks for a while whether anything begins to differ.
func (a *application) staysInSync(commit commit, looks int) error {
	for range looks {
		names, err := a.difference(commit)
		if err != nil {
			return err
		}
		if len(names) > 0 {
			return fmt.Errorf("nothing may differ from the commit, and %s do", strings.Join(names, ", "))
		}
		time.Sleep(time.Second)
	}
	return nil
}
