package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

const pollInterval = 100 * time.Millisecond

// check answers nil when what it looks at is ready, and otherwise why not.
type check func(context.Context, *kubernetes.Clientset) error

func newAwaitCommand() *cobra.Command {
	var kubeconfig, dns string
	var limit time.Duration
	command := &cobra.Command{
		Use:           "await apiserver|cluster",
		Short:         "Wait until the API server, or the whole cluster, is ready",
		Args:          cobra.ExactArgs(1),
		SilenceUsage:  true,
		SilenceErrors: false,
		RunE: func(command *cobra.Command, args []string) error {
			checks, err := checksFor(args[0], dns)
			if err != nil {
				return err
			}
			client, err := newClient(kubeconfig)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(command.Context(), limit)
			defer cancel()
			return await(ctx, client, checks)
		},
	}
	command.Flags().StringVar(&kubeconfig, "kubeconfig", "", "credentials to ask with")
	command.Flags().StringVar(&dns, "dns", "", "address of the cluster's DNS server, host:port")
	command.Flags().DurationVar(&limit, "timeout", time.Minute, "how long to wait at most")
	return command
}

func checksFor(what, dns string) ([]check, error) {
	switch what {
	case "apiserver":
		return []check{apiServerReady}, nil
	case "cluster":
		return []check{nodeReady, defaultServiceAccountExists, defaultStorageClassExists, resolves(dns)}, nil
	default:
		return nil, fmt.Errorf("%q must be apiserver or cluster", what)
	}
}

// await returns once every check has passed, or with the first that does not.
func await(ctx context.Context, client *kubernetes.Clientset, checks []check) error {
	for _, ready := range checks {
		for {
			err := ready(ctx, client)
			if err == nil {
				break
			}
			select {
			case <-ctx.Done():
				return err
			case <-time.After(pollInterval):
			}
		}
	}
	return nil
}

func apiServerReady(ctx context.Context, client *kubernetes.Clientset) error {
	return client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error()
}

func nodeReady(ctx context.Context, client *kubernetes.Clientset) error {
	nodes, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	if len(nodes.Items) == 0 {
		return errors.New("the kubelet has not registered its node yet")
	}
	for _, condition := range nodes.Items[0].Status.Conditions {
		if condition.Type == corev1.NodeReady && condition.Status == corev1.ConditionTrue {
			return nil
		} else if condition.Type == corev1.NodeReady {
			return fmt.Errorf("the node is not ready: %s", condition.Message)
		}
	}
	return errors.New("the node has not said whether it is ready")
}

func defaultServiceAccountExists(ctx context.Context, client *kubernetes.Clientset) error {
	_, err := client.CoreV1().ServiceAccounts(metav1.NamespaceDefault).Get(ctx, "default", metav1.GetOptions{})
	return err
}

func defaultStorageClassExists(ctx context.Context, client *kubernetes.Clientset) error {
	_, err := client.StorageV1().StorageClasses().Get(ctx, storageClassName, metav1.GetOptions{})
	return err
}

// resolves looks a name up that every cluster has, at its own DNS server.
func resolves(server string) check {
	resolver := &net.Resolver{
		PreferGo: true,
		Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, server)
		},
	}
	return func(ctx context.Context, _ *kubernetes.Clientset) error {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		_, err := resolver.LookupHost(ctx, "kubernetes.default.svc.cluster.local.")
		return err
	}
}
