// cert-manager's controllers for ACME, and their HTTP-01 solver, in one program.
//
// The module serves the packages of its controllers, not its commands. This one runs what a certificate of an ACME
// authority takes, be it requested by a Certificate or by an Ingress's annotation, and nothing else; cert-manager starts the
// same image as the solver, with -token and its like.
package main

import (
	"context"
	"flag"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/cert-manager/cert-manager/pkg/controller"
	_ "github.com/cert-manager/cert-manager/pkg/controller/acmechallenges"
	_ "github.com/cert-manager/cert-manager/pkg/controller/acmeorders"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificate-shim/ingresses"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/acme"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/approver"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/issuing"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/keymanager"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/readiness"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/requestmanager"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/revisionmanager"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/trigger"
	_ "github.com/cert-manager/cert-manager/pkg/controller/clusterissuers"
	_ "github.com/cert-manager/cert-manager/pkg/issuer/acme"
	"github.com/cert-manager/cert-manager/pkg/issuer/acme/http/solver"
	logf "github.com/cert-manager/cert-manager/pkg/logs"
	"k8s.io/apimachinery/pkg/api/resource"
)

const workers = 2

func main() {
	var challenge solver.HTTP01Solver
	flag.IntVar(&challenge.ListenPort, "listen-port", 8089, "the solver's port")
	flag.StringVar(&challenge.Domain, "domain", "", "the name that the solver answers for")
	flag.StringVar(&challenge.Token, "token", "", "the challenge; with it this is a solver")
	flag.StringVar(&challenge.Key, "key", "", "the answer to the challenge")
	namespace := flag.String("namespace", "cert-manager", "where keys of ClusterIssuers are kept")
	image := flag.String("solver-image", "", "the image of the solver: this one")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	log := logf.Log.WithName("devenv")
	ctx = logf.NewContext(ctx, log)
	var err error
	if challenge.Token != "" {
		go func() { <-ctx.Done(); os.Exit(0) }()
		err = challenge.Listen(log)
	} else {
		err = control(ctx, options(*namespace, *image))
	}
	if err != nil {
		log.Error(err, "ended")
		os.Exit(1)
	}
}

// options are the defaults of cert-manager's own controller (internal/apis/config/controller/v1alpha1/defaults.go).
func options(namespace, image string) controller.ContextOptions {
	var o controller.ContextOptions
	o.ClusterResourceNamespace = namespace
	o.HTTP01SolverImage = image
	o.HTTP01SolverResourceRequestCPU = resource.MustParse("10m")
	o.HTTP01SolverResourceRequestMemory = resource.MustParse("64Mi")
	o.HTTP01SolverResourceLimitsCPU = resource.MustParse("100m")
	o.HTTP01SolverResourceLimitsMemory = resource.MustParse("64Mi")
	o.ACMEHTTP01SolverRunAsNonRoot = true
	o.DNS01CheckRetryPeriod = 10 * time.Second
	o.CertificateRequestMinimumBackoffDuration = time.Hour
	o.CertificateRequestMaximumBackoffDuration = 32 * time.Hour
	o.CopiedAnnotationPrefixes = []string{"*", "-kubectl.kubernetes.io/", "-fluxcd.io/", "-argocd.argoproj.io/"}
	o.DefaultIssuerKind, o.DefaultIssuerGroup = "Issuer", "cert-manager.io"
	o.DefaultAutoCertificateAnnotations = []string{"kubernetes.io/tls-acme"}
	o.MaxConcurrentChallenges = 60
	return o
}

// control runs all controllers that were imported until ctx ends, or one of them does.
func control(ctx context.Context, o controller.ContextOptions) error {
	factory, err := controller.NewContextFactory(ctx, o)
	if err != nil {
		return err
	}
	base, err := factory.Build()
	if err != nil {
		return err
	}
	ended := make(chan error)
	for _, construct := range controller.Known() {
		one, err := construct(factory)
		if err != nil {
			return err
		}
		go func() { ended <- one.Run(workers, ctx) }()
	}
	base.SharedInformerFactory.Start(ctx.Done())
	base.KubeSharedInformerFactory.Start(ctx.Done())
	base.HTTP01ResourceMetadataInformersFactory.Start(ctx.Done())
	select {
	case <-ctx.Done():
		return nil
	case err := <-ended:
		return err
	}
}
