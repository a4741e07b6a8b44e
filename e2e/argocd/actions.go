package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"

	"github.com/argoproj/argo-cd/v3/pkg/apis/application/v1alpha1"
	"github.com/argoproj/argo-cd/v3/util/lua"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// An actionTable is an action_test.yaml in Argo CD's form.
type actionTable struct {
	DiscoveryTests []struct {
		InputPath string                    `json:"inputPath"`
		Result    []v1alpha1.ResourceAction `json:"result"`
	} `json:"discoveryTests"`
	ActionTests []struct {
		Action             string `json:"action"`
		InputPath          string `json:"inputPath"`
		ExpectedOutputPath string `json:"expectedOutputPath"`
	} `json:"actionTests"`
}

// checkActions compares which actions are offered, and what each makes of an object.
func checkActions(folder string, overrides lua.ResourceHealthOverrides) error {
	folder = filepath.Join(folder, "actions")
	var table actionTable
	if err := readTable(filepath.Join(folder, "action_test.yaml"), &table); err != nil {
		return err
	}
	var wrong []error
	for _, test := range table.DiscoveryTests {
		object, err := readObject(filepath.Join(folder, test.InputPath))
		if err != nil {
			return err
		}
		if err := checkDiscovery(object, test.Result, overrides); err != nil {
			wrong = append(wrong, fmt.Errorf("%s: %w", test.InputPath, err))
		}
	}
	for _, test := range table.ActionTests {
		object, err := readObject(filepath.Join(folder, test.InputPath))
		if err != nil {
			return err
		}
		expected, err := readObject(filepath.Join(folder, test.ExpectedOutputPath))
		if err != nil {
			return err
		}
		changed, err := act(object, test.Action, overrides)
		if err != nil {
			wrong = append(wrong, fmt.Errorf("%s of %s: %w", test.Action, test.InputPath, err))
		} else if err := equal(changed, expected); err != nil {
			wrong = append(wrong, fmt.Errorf("%s of %s must give %s: %w", test.Action, test.InputPath, test.ExpectedOutputPath, err))
		}
	}
	if len(wrong) > 0 {
		return errors.Join(wrong...)
	}
	holds("what is offered in %d states, and what %d actions do, is as expected", len(table.DiscoveryTests), len(table.ActionTests))
	return nil
}

// checkDiscovery compares all actions, where Argo CD's own test takes a missing one for right.
func checkDiscovery(object *unstructured.Unstructured, expected []v1alpha1.ResourceAction, overrides lua.ResourceHealthOverrides) error {
	offered, err := offers(object, overrides)
	if err != nil {
		return err
	}
	if len(offered) != len(expected) {
		return fmt.Errorf("%d actions are expected and %d offered", len(expected), len(offered))
	}
	for _, action := range expected {
		if found, known := offered[action.Name]; !known || !reflect.DeepEqual(found, action) {
			return fmt.Errorf("%+v is expected and %+v offered", action, found)
		}
	}
	return nil
}

// offers gives the actions that Argo CD shows for an object, by name.
func offers(object *unstructured.Unstructured, overrides lua.ResourceHealthOverrides) (map[string]v1alpha1.ResourceAction, error) {
	machine := lua.VM{ResourceOverrides: overrides}
	scripts, err := machine.GetResourceActionDiscovery(object)
	if err != nil {
		return nil, fmt.Errorf("failed to find the actions: %w", err)
	}
	found, err := machine.ExecuteResourceActionDiscovery(object, scripts)
	if err != nil {
		return nil, fmt.Errorf("failed to discover the actions: %w", err)
	}
	offered := make(map[string]v1alpha1.ResourceAction, len(found))
	for _, action := range found {
		offered[action.Name] = action
	}
	return offered, nil
}

// act gives the object as an action leaves it; like the user interface, it takes none that is not offered.
func act(object *unstructured.Unstructured, action string, overrides lua.ResourceHealthOverrides) (*unstructured.Unstructured, error) {
	offered, err := offers(object, overrides)
	if err != nil {
		return nil, err
	}
	if found, known := offered[action]; !known || found.Disabled {
		return nil, fmt.Errorf("the action %s is not offered", action)
	}
	machine := lua.VM{ResourceOverrides: overrides}
	definition, err := machine.GetResourceAction(object, action)
	if err != nil {
		return nil, fmt.Errorf("failed to find the action %s: %w", action, err)
	}
	impacted, err := machine.ExecuteResourceAction(object, definition.ActionLua, nil)
	if err != nil {
		return nil, fmt.Errorf("the action %s failed: %w", action, err)
	}
	if len(impacted) != 1 || impacted[0].K8SOperation != lua.PatchOperation {
		return nil, fmt.Errorf("the action %s must patch its object and nothing else", action)
	}
	return impacted[0].UnstructuredObj, nil
}

// equal compares objects by their JSON: Lua makes every number a float.
func equal(found, expected *unstructured.Unstructured) error {
	var texts [2]any
	for i, object := range []*unstructured.Unstructured{found, expected} {
		text, err := json.Marshal(object)
		if err != nil {
			return fmt.Errorf("failed to print an object: %w", err)
		}
		if err := json.Unmarshal(text, &texts[i]); err != nil {
			return fmt.Errorf("failed to read an object: %w", err)
		}
	}
	if !reflect.DeepEqual(texts[0], texts[1]) {
		return fmt.Errorf("it gives %v", texts[0])
	}
	return nil
}
