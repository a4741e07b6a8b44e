package main

import (
	"fmt"

	"github.com/argoproj/argo-cd/gitops-engine/pkg/engine"
	"github.com/argoproj/argo-cd/v3/util/lua"
	"github.com/argoproj/argo-cd/v3/util/settings"
	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"sigs.k8s.io/kustomize/api/krusty"
)

func main() {
	fmt.Println(lua.VM{}, engine.NewEngine, status.Compute, settings.NewSettingsManager, krusty.MakeDefaultOptions)
}
