// Command ingress serves Ingresses. As `ingress controller` it keeps nginx at what the API server has, and tells people what
// is wrong with it. As `ingress nginx`, in a container that has no token, it runs nginx and does what the controller says.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

const usage = "usage: ingress controller|nginx [FLAGS]; ingress controller|nginx -h lists them"

// options are what the arguments say; both commands have the first three.
type options struct {
	folder  string
	address string
	drain   time.Duration

	name          string
	service       string
	externalNames []string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(os.Args) < 2 {
		os.Args = append(os.Args, "")
	}
	var err error
	switch command, arguments := os.Args[1], os.Args[2:]; command {
	case "controller":
		err = runController(ctx, parsed(command, ":10254", arguments))
	case "nginx":
		err = runNginx(ctx, parsed(command, ":10255", arguments))
	default:
		fmt.Fprintln(os.Stderr, usage)
		os.Exit(2)
	}
	if err != nil {
		slog.Error("ended", "error", err)
		os.Exit(1)
	}
}

func parsed(command, address string, arguments []string) options {
	var o options
	flags := flag.NewFlagSet(command, flag.ExitOnError)
	flags.StringVar(&o.folder, "folder", "/run/ingress", "folder that both containers see parts of: certificates/ from the controller, socket/ from nginx")
	flags.StringVar(&o.address, "health", address, "address of /healthz and /readyz, and of the controller's /metrics")
	flags.DurationVar(&o.drain, "drain", 5*time.Second, "how long to go on after the signal to end, until nobody sends requests any more")
	externalNames := ""
	if command == "controller" {
		flags.StringVar(&o.name, "controller", "devenv.local/ingress", "spec.controller of the IngressClasses that are ours")
		flags.StringVar(&o.service, "service", "ingress-nginx/ingress-nginx-controller", "namespace and name of our own Service, whose address is told, and of the Lease of the one that tells it")
		flags.StringVar(&externalNames, "allow-external-name", "", "Services whose external names may lead out of their namespace: NAMESPACE/NAME, NAMESPACE/* or *, with commas between them")
	}
	_ = flags.Parse(arguments) // it exits by itself
	o.externalNames = strings.Split(externalNames, ",")
	return o
}
