package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// checkStates finds each state of the schema in some fixture.
func checkStates(checkout string) error {
	definition, err := readObject(filepath.Join(checkout, "config/crd/routing.tinydancer.dev_routingpolicies.yaml"))
	if err != nil {
		return err
	}
	wanted, err := statesOf(definition)
	if err != nil {
		return err
	}
	paths, err := filepath.Glob(filepath.Join(customizationFolder(checkout, "RoutingPolicy"), "testdata/*.yaml"))
	if err != nil {
		return fmt.Errorf("failed to list fixtures: %w", err)
	}
	var shown []string
	for _, path := range paths {
		object, err := readObject(path)
		if err != nil {
			return err
		}
		state, _, _ := unstructured.NestedString(object.Object, "status", "rollout", "state")
		shown = append(shown, state)
	}
	for _, state := range wanted {
		if !slices.Contains(shown, state) {
			return fmt.Errorf("the schema has the state %s and no fixture shows it: add one", state)
		}
	}
	holds("every one of the %d states of the schema has a fixture", len(wanted))
	return nil
}

// statesOf reads the values that status.rollout.state may have.
func statesOf(definition *unstructured.Unstructured) ([]string, error) {
	versions, _, err := unstructured.NestedSlice(definition.Object, "spec", "versions")
	if err != nil {
		return nil, fmt.Errorf("failed to read the CRD: %w", err)
	}
	if len(versions) != 1 {
		return nil, fmt.Errorf("the CRD must have one version and has %d", len(versions))
	}
	version, _ := versions[0].(map[string]any)
	path := []string{"schema", "openAPIV3Schema"}
	for _, field := range []string{"status", "rollout", "state"} {
		path = append(path, "properties", field)
	}
	states, found, err := unstructured.NestedStringSlice(version, append(path, "enum")...)
	if err != nil {
		return nil, fmt.Errorf("failed to read the CRD: %w", err)
	}
	if !found {
		return nil, errors.New("the CRD must name the values of status.rollout.state")
	}
	return states, nil
}
