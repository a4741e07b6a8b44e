package main

import (
	"fmt"
	"os"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// render gives the objects of a kustomization, as Argo CD's repository server does.
func render(folder string) ([]*unstructured.Unstructured, error) {
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), folder)
	if err != nil {
		return nil, fmt.Errorf("failed to render %s: %w", folder, err)
	}
	objects := make([]*unstructured.Unstructured, 0, resources.Size())
	for _, resource := range resources.Resources() {
		text, err := resource.AsYAML()
		if err != nil {
			return nil, fmt.Errorf("failed to render %s: %w", resource.CurId(), err)
		}
		object := &unstructured.Unstructured{}
		if err := yaml.Unmarshal(text, &object.Object); err != nil {
			return nil, fmt.Errorf("failed to parse %s: %w", resource.CurId(), err)
		}
		objects = append(objects, object)
	}
	return objects, nil
}

// readObject reads a file with one object. Whole numbers become int64, as they are in what comes from an API server.
func readObject(path string) (*unstructured.Unstructured, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("failed to read a fixture: %w", err)
	}
	json, err := yaml.YAMLToJSON(text)
	if err != nil {
		return nil, fmt.Errorf("failed to parse %s: %w", path, err)
	}
	object := &unstructured.Unstructured{}
	if err := object.UnmarshalJSON(json); err != nil {
		return nil, fmt.Errorf("failed to parse %s: %w", path, err)
	}
	return object, nil
}

// readTable reads a file with expectations, and refuses what it does not know.
func readTable(path string, table any) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("failed to read expectations: %w", err)
	}
	if err := yaml.UnmarshalStrict(text, table); err != nil {
		return fmt.Errorf("failed to parse %s: %w", path, err)
	}
	return nil
}
