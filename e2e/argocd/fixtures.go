package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/argoproj/argo-cd/gitops-engine/pkg/health"
	"github.com/argoproj/argo-cd/v3/util/lua"
	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
)

// A healthTable is a health_test.yaml in Argo CD's form, with one field of ours.
type healthTable struct {
	Tests []struct {
		InputPath    string              `json:"inputPath"`
		HealthStatus health.HealthStatus `json:"healthStatus"`
		// Status that tools see which know the conditions alone.
		Kstatus status.Status `json:"kstatus"`
	} `json:"tests"`
}

// customizationFolder is where the scripts of a kind are.
func customizationFolder(checkout, kind string) string {
	return filepath.Join(checkout, "config/argocd/resource_customizations/routing.tinydancer.dev", kind)
}

// checkFixtures runs everything that needs no cluster.
func checkFixtures(ctx context.Context, checkout string) error {
	found, err := offlineOverrides(ctx, checkout)
	if err != nil {
		return err
	}
	for _, kind := range []string{"RoutingPolicy", "RouterModel"} {
		if err := checkHealth(customizationFolder(checkout, kind), kind, found); err != nil {
			return err
		}
	}
	if err := checkStates(checkout); err != nil {
		return err
	}
	return checkActions(customizationFolder(checkout, "RoutingPolicy"), found)
}

// checkHealth compares health and kstatus of each fixture with its table.
func checkHealth(folder, kind string, overrides lua.ResourceHealthOverrides) error {
	var table healthTable
	if err := readTable(filepath.Join(folder, "health_test.yaml"), &table); err != nil {
		return err
	}
	var wrong []error
	for _, test := range table.Tests {
		object, err := readObject(filepath.Join(folder, test.InputPath))
		if err != nil {
			return err
		}
		found, err := overrides.GetResourceHealth(object)
		switch {
		case err != nil:
			wrong = append(wrong, fmt.Errorf("%s: the script failed: %w", test.InputPath, err))
		case found == nil:
			wrong = append(wrong, fmt.Errorf("%s: Argo CD finds no script for %s", test.InputPath, kind))
		case *found != test.HealthStatus:
			wrong = append(wrong, fmt.Errorf("%s: health must be %+v and is %+v", test.InputPath, test.HealthStatus, *found))
		}
		computed, err := status.Compute(object)
		if err != nil {
			wrong = append(wrong, fmt.Errorf("%s: failed to compute kstatus: %w", test.InputPath, err))
		} else if computed.Status != test.Kstatus {
			wrong = append(wrong, fmt.Errorf("%s: kstatus must be %s and is %s", test.InputPath, test.Kstatus, computed.Status))
		}
	}
	files, err := os.ReadDir(filepath.Join(folder, "testdata"))
	if err != nil {
		return fmt.Errorf("failed to list fixtures: %w", err)
	}
	if len(files) != len(table.Tests) {
		wrong = append(wrong, fmt.Errorf("%s has %d fixtures and %d expectations", kind, len(files), len(table.Tests)))
	}
	if len(wrong) > 0 {
		return errors.Join(wrong...)
	}
	holds("%s: health and kstatus of %d fixtures are as expected", kind, len(files))
	return nil
}
