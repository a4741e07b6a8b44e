package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// Room for what takes seconds, on a machine with two busy cores.
const patience = 3 * time.Minute

// Field manager of what an administrator applies; never Argo CD's own.
const fieldManager = "tiny-dancer"

var (
	policies = schema.GroupVersionResource{Group: "routing.tinydancer.dev", Version: "v1alpha1", Resource: "routingpolicies"}
	models   = schema.GroupVersionResource{Group: "routing.tinydancer.dev", Version: "v1alpha1", Resource: "routermodels"}
)

// clients reach one cluster.
type clients struct {
	config  *rest.Config
	typed   *kubernetes.Clientset
	dynamic *dynamic.DynamicClient
}

// connect uses the kubeconfig that KUBECONFIG names.
func connect() (*clients, error) {
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(
		clientcmd.NewDefaultClientConfigLoadingRules(), &clientcmd.ConfigOverrides{}).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("failed to read the kubeconfig: %w", err)
	}
	config.QPS = -1
	config.WarningHandler = rest.NoWarnings{}
	typed, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("failed to make a client: %w", err)
	}
	untyped, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("failed to make a client: %w", err)
	}
	return &clients{config: config, typed: typed, dynamic: untyped}, nil
}

// makeNamespace makes one that takes restricted pods alone.
func (c *clients) makeNamespace(ctx context.Context, name string) error {
	wanted := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name:   name,
		Labels: map[string]string{"pod-security.kubernetes.io/enforce": "restricted"},
	}}
	if _, err := c.typed.CoreV1().Namespaces().Create(ctx, wanted, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("failed to make the namespace %s: %w", name, err)
	}
	return nil
}

// removeNamespace removes one with everything in it and waits until it is gone.
func (c *clients) removeNamespace(ctx context.Context, name string) error {
	namespaces := c.typed.CoreV1().Namespaces()
	if err := namespaces.Delete(ctx, name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("failed to remove the namespace %s: %w", name, err)
	}
	return eventually(ctx, "the namespace "+name+" is gone", func() error {
		_, err := namespaces.Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		if err == nil {
			err = errors.New("it is still there")
		}
		return err
	})
}

// serverSideApply applies a ConfigMap as `kubectl apply --server-side` does.
func serverSideApply(ctx context.Context, client kubernetes.Interface, object *corev1.ConfigMap, namespace string) error {
	text, err := json.Marshal(object)
	if err != nil {
		return fmt.Errorf("failed to print %s: %w", object.Name, err)
	}
	options := metav1.PatchOptions{FieldManager: fieldManager}
	if _, err := client.CoreV1().ConfigMaps(namespace).Patch(ctx, object.Name, types.ApplyPatchType, text, options); err != nil {
		return fmt.Errorf("failed to apply %s: %w", object.Name, err)
	}
	return nil
}

// get reads an object of ours.
func (c *clients) get(ctx context.Context, resource schema.GroupVersionResource, namespace, name string) (*unstructured.Unstructured, error) {
	object, err := c.dynamic.Resource(resource).Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("failed to read %s/%s: %w", resource.Resource, name, err)
	}
	return object, nil
}

// eventually asks until the answer is yes, and says what the last answer was when it never was.
func eventually(ctx context.Context, what string, ask func() error) error {
	deadline := time.Now().Add(patience)
	for {
		err := ask()
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("it must come about that %s: %w", what, err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
}
