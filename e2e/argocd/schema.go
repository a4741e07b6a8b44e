package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// checkSchema lets the API server look at every fixture: a field that it does not know would be one that the operator
// never writes. Nobody reconciles them, because the operator is not there yet.
func checkSchema(ctx context.Context, clients *clients, checkout string) error {
	var wrong []error
	var count int
	for kind, resource := range map[string]schema.GroupVersionResource{"RoutingPolicy": policies, "RouterModel": models} {
		paths, err := filepath.Glob(filepath.Join(customizationFolder(checkout, kind), "testdata/*.yaml"))
		if err != nil {
			return fmt.Errorf("failed to list fixtures: %w", err)
		}
		for _, path := range paths {
			count++
			if err := clients.tryObject(ctx, resource, path); err != nil {
				wrong = append(wrong, fmt.Errorf("%s: %w", filepath.Base(path), err))
			}
		}
	}
	if len(wrong) > 0 {
		return errors.Join(wrong...)
	}
	holds("the API server takes all %d fixtures, spec and status", count)
	return nil
}

// tryObject makes an object with its status, and removes it again.
func (c *clients) tryObject(ctx context.Context, resource schema.GroupVersionResource, path string) error {
	object, err := readObject(path)
	if err != nil {
		return err
	}
	status, hasStatus := object.Object["status"]
	delete(object.Object, "status")
	object.SetNamespace(fleetNamespace)
	object.SetDeletionTimestamp(nil)
	object.SetGeneration(0)
	api := c.dynamic.Resource(resource).Namespace(fleetNamespace)
	made, err := api.Create(ctx, object, metav1.CreateOptions{FieldValidation: metav1.FieldValidationStrict})
	if err != nil {
		return fmt.Errorf("the spec is refused: %w", err)
	}
	if hasStatus {
		made.Object["status"] = status
		_, err = api.UpdateStatus(ctx, made, metav1.UpdateOptions{FieldValidation: metav1.FieldValidationStrict})
		if err != nil {
			err = fmt.Errorf("the status is refused: %w", err)
		}
	}
	return errors.Join(err, api.Delete(ctx, object.GetName(), metav1.DeleteOptions{}))
}
