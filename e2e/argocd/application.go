package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/argoproj/argo-cd/gitops-engine/pkg/cache"
	"github.com/argoproj/argo-cd/gitops-engine/pkg/diff"
	"github.com/argoproj/argo-cd/gitops-engine/pkg/engine"
	"github.com/argoproj/argo-cd/gitops-engine/pkg/sync"
	"github.com/argoproj/argo-cd/gitops-engine/pkg/sync/common"
	"github.com/argoproj/argo-cd/gitops-engine/pkg/utils/kube"
	"github.com/argoproj/argo-cd/v3/util/lua"
	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Argo CD's mark on what an application manages.
const trackingAnnotation = "argocd.argoproj.io/tracking-id"

// An application is what Argo CD makes of one Application: it syncs a commit to a namespace.
type application struct {
	cache     cache.ClusterCache
	engine    engine.GitOpsEngine
	stop      engine.StopFunc
	overrides lua.ResourceHealthOverrides
	namespace string
}

// newApplication starts Argo CD's engine on a namespace.
func newApplication(clients *clients, overrides lua.ResourceHealthOverrides, namespace string) (*application, error) {
	quiet := logr.Discard()
	clusterCache := cache.NewClusterCache(clients.config,
		cache.SetNamespaces([]string{namespace}),
		cache.SetLogr(quiet),
		cache.SetPopulateResourceInfoHandler(func(object *unstructured.Unstructured, _ bool) (any, bool) {
			mark := object.GetAnnotations()[trackingAnnotation]
			return mark, mark != ""
		}),
	)
	started := engine.NewEngine(clients.config, clusterCache, engine.WithLogr(quiet))
	stop, err := started.Run()
	if err != nil {
		return nil, fmt.Errorf("failed to start the engine: %w", err)
	}
	return &application{clusterCache, started, stop, overrides, namespace}, nil
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

// sync brings the namespace to a commit, wave by wave, and fails where it does not get there in time.
func (a *application) sync(ctx context.Context, commit commit) error {
	ctx, stop := context.WithTimeout(ctx, patience)
	defer stop()
	results, err := a.engine.Sync(ctx, a.targets(commit), a.isManaged, "commit", a.namespace,
		sync.WithPrune(true),
		sync.WithHealthOverride(a.overrides),
		sync.WithLogr(logr.Discard()),
	)
	if err != nil {
		return fmt.Errorf("failed to sync: %w; %s", err, unfinished(results))
	}
	if text := unfinished(results); text != "" {
		return fmt.Errorf("failed to sync: %s", text)
	}
	return nil
}

// unfinished names what the engine waits for or could not do. What was applied last is left to itself, as Argo CD does.
func unfinished(results []common.ResourceSyncResult) string {
	var texts []string
	for _, result := range results {
		failed := result.Status == common.ResultCodeSyncFailed
		if failed || result.HookPhase == common.OperationFailed || result.HookPhase == common.OperationError {
			key := result.ResourceKey
			texts = append(texts, fmt.Sprintf("%s: %s", key.String(), result.Message))
		}
	}
	return strings.Join(texts, "; ")
}

// difference names the objects that differ from a commit, as Argo CD's OutOfSync does.
func (a *application) difference(commit commit) ([]string, error) {
	targets := a.targets(commit)
	live, err := a.cache.GetManagedLiveObjs(targets, a.isManaged)
	if err != nil {
		return nil, fmt.Errorf("failed to find what is live: %w", err)
	}
	found := sync.Reconcile(targets, live, a.namespace, a.cache)
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
