// Command kube is every part of the local test cluster in one static binary.
//
// The first argument names the part: a Kubernetes component, etcd, CoreDNS or
// kubectl as their own projects ship them, or one of two small commands of
// ours: provisioner (volumes for PersistentVolumeClaims) and await (waits until
// the cluster is ready). `cargo xtask cluster` builds and runs it.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/coredns/coredns/coremain"
	_ "github.com/coredns/coredns/plugin/bind"
	_ "github.com/coredns/coredns/plugin/cache"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/ready"
	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	kubectl "k8s.io/kubectl/pkg/cmd"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

const usage = "usage: kube coredns|etcd|kube-apiserver|kube-controller-manager|kube-proxy|kube-scheduler|kubectl|kubelet|provisioner|await [FLAGS]"

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, usage)
		os.Exit(2)
	}
	name := os.Args[1]
	// Every part reads os.Args as if it were a program of its own.
	os.Args = os.Args[1:]
	switch name {
	case "coredns":
		coremain.Run()
	case "etcd":
		etcdmain.Main(os.Args)
	default:
		command := command(name)
		if command == nil {
			fmt.Fprintf(os.Stderr, "unknown part %q\n%s\n", name, usage)
			os.Exit(2)
		}
		os.Exit(cli.Run(command))
	}
}

// command gives the part's cobra command, or nil if there is no such part.
func command(name string) *cobra.Command {
	switch name {
	case "kube-apiserver":
		return apiserver.NewAPIServerCommand()
	case "kube-controller-manager":
		return controllermanager.NewControllerManagerCommand()
	case "kube-proxy":
		return proxy.NewProxyCommand()
	case "kube-scheduler":
		return scheduler.NewSchedulerCommand()
	case "kubectl":
		return kubectl.NewDefaultKubectlCommand()
	case "kubelet":
		// A signal context here would set the handlers up twice, which panics.
		return kubelet.NewKubeletCommand(context.Background())
	case "provisioner":
		return newProvisionerCommand()
	case "await":
		return newAwaitCommand()
	default:
		return nil
	}
}
