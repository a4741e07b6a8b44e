// Command argocd looks at RoutingPolicies and RouterModels as GitOps tools do: it runs the scripts of config/argocd with
// Argo CD's own Lua code, computes kstatus as Flux does, and syncs a fleet with Argo CD's engine.
//
// `cargo xtask test` builds and runs it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"

	"github.com/sirupsen/logrus"
	"k8s.io/klog/v2"
)

const usage = `usage: argocd fixtures CHECKOUT   run the scripts over their fixtures; needs no cluster
       argocd sync CHECKOUT       sync a fleet to the cluster that KUBECONFIG names`

func main() {
	// What holds is said in sentences; Argo CD's own logs would bury them.
	logrus.SetOutput(io.Discard)
	klog.SetOutput(io.Discard)
	klog.LogToStderr(false)

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "error: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, words []string) error {
	if len(words) != 2 {
		return errors.New(usage)
	}
	switch words[0] {
	case "fixtures":
		return checkFixtures(ctx, words[1])
	case "sync":
		return checkSync(ctx, words[1])
	default:
		return errors.New(usage)
	}
}

// holds says what was found to be so.
func holds(format string, arguments ...any) {
	fmt.Printf("    %s\n", fmt.Sprintf(format, arguments...))
}
