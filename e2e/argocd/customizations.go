package main

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/argoproj/argo-cd/v3/util/lua"
	"github.com/argoproj/argo-cd/v3/util/settings"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
)

// Where Argo CD would be installed.
const argoNamespace = "argocd"

// configMap gives Argo CD's ConfigMap as config/argocd makes it.
func configMap(checkout string) (*corev1.ConfigMap, error) {
	objects, err := render(filepath.Join(checkout, "config/argocd"))
	if err != nil {
		return nil, err
	}
	if len(objects) != 1 {
		return nil, fmt.Errorf("config/argocd must render one ConfigMap and renders %d objects", len(objects))
	}
	rendered := &corev1.ConfigMap{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(objects[0].Object, rendered); err != nil {
		return nil, fmt.Errorf("failed to read what config/argocd renders as a ConfigMap: %w", err)
	}
	return rendered, nil
}

// offlineOverrides gives the scripts as Argo CD would find them with config/argocd installed.
func offlineOverrides(ctx context.Context, checkout string) (lua.ResourceHealthOverrides, error) {
	rendered, err := configMap(checkout)
	if err != nil {
		return nil, err
	}
	rendered.Namespace = argoNamespace
	return overrides(ctx, fake.NewClientset(rendered), argoNamespace)
}

// overrides reads Argo CD's settings with its own code.
func overrides(ctx context.Context, client kubernetes.Interface, namespace string) (lua.ResourceHealthOverrides, error) {
	found, err := settings.NewSettingsManager(ctx, client, namespace).GetResourceOverrides()
	if err != nil {
		return nil, fmt.Errorf("failed to read the scripts from argocd-cm as Argo CD does: %w", err)
	}
	return found, nil
}

// install puts the scripts into Argo CD's ConfigMap as docs/gitops.md says: by server-side apply, so that what else is in
// it stays.
func install(ctx context.Context, client kubernetes.Interface, checkout, namespace string) error {
	standing := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{
			Name:   "argocd-cm",
			Labels: map[string]string{"app.kubernetes.io/part-of": "argocd"},
		},
		Data: map[string]string{"url": "https://argocd.example.com"},
	}
	maps := client.CoreV1().ConfigMaps(namespace)
	if _, err := maps.Create(ctx, standing, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("failed to make an argocd-cm: %w", err)
	}
	rendered, err := configMap(checkout)
	if err != nil {
		return err
	}
	rendered.APIVersion, rendered.Kind = "v1", "ConfigMap"
	if err := serverSideApply(ctx, client, rendered, namespace); err != nil {
		return err
	}
	merged, err := maps.Get(ctx, "argocd-cm", metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("failed to read argocd-cm: %w", err)
	}
	if merged.Data["url"] != standing.Data["url"] || len(merged.Data) != len(rendered.Data)+1 {
		return fmt.Errorf("argocd-cm must keep its own keys beside ours and has %d", len(merged.Data))
	}
	return nil
}
