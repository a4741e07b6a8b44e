package main

import (
	"fmt"
	"path/filepath"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// A commit is everything that Git says at one time.
type commit []*unstructured.Unstructured

// firstCommit renders the repository.
func firstCommit(checkout string) (commit, error) {
	return render(filepath.Join(checkout, "e2e/argocd/repository"))
}

// naming gives the commit in which the policy names another model.
func (c commit) naming(model string) (commit, error) {
	return c.saying(model, "model", "name")
}

// saying gives the commit in which a field of the policy's spec is another.
func (c commit) saying(value any, field ...string) (commit, error) {
	next := slices.Clone(c)
	for i, object := range next {
		if object.GetKind() != "RoutingPolicy" {
			continue
		}
		next[i] = object.DeepCopy()
		path := append([]string{"spec"}, field...)
		if err := unstructured.SetNestedField(next[i].Object, value, path...); err != nil {
			return nil, fmt.Errorf("failed to set %v: %w", path, err)
		}
	}
	return next, nil
}

// withoutModel gives the commit in which a RouterModel and its artifact were removed.
func (c commit) withoutModel(name string) commit {
	return slices.DeleteFunc(slices.Clone(c), func(object *unstructured.Unstructured) bool {
		return object.GetName() == name && (object.GetKind() == "RouterModel" || object.GetKind() == "ConfigMap")
	})
}

// copying gives the commit in which a RouterModel has a copy of another name that claims another digest.
func (c commit) copying(model, name, digest string) (commit, error) {
	next := slices.Clone(c)
	for _, object := range c {
		if object.GetKind() != "RouterModel" || object.GetName() != model {
			continue
		}
		another := object.DeepCopy()
		another.SetName(name)
		if err := unstructured.SetNestedField(another.Object, digest, "spec", "digest"); err != nil {
			return nil, fmt.Errorf("failed to set the digest of %s: %w", name, err)
		}
		next = append(next, another)
	}
	return next, nil
}
