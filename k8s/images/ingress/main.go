// Command ingress serves Ingresses: it keeps nginx at what the API server has, and tells people what is wrong with it.
package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"flag"
	"fmt"
	"log/slog"
	"math/big"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"

	"devenv.local/ingress/config"
	"devenv.local/ingress/model"
)

const defaultCertificateFor = 10 * 365 * 24 * time.Hour

func main() {
	name := flag.String("controller", "devenv.local/ingress", "spec.controller of the IngressClasses that are ours")
	service := flag.String("service", "ingress-nginx/ingress-nginx-controller", "namespace and name of our own Service, whose address is told")
	folder := flag.String("folder", "/run/ingress", "folder to write to; it holds keys, so it should be memory")
	address := flag.String("health", ":10254", "address of /healthz, /readyz and /metrics")
	drain := flag.Duration("drain", 5*time.Second, "how long to serve on after the signal to end, until nobody sends requests any more")
	externalNames := flag.String("allow-external-name", "", "Services whose external names may lead out of their namespace: NAMESPACE/NAME, NAMESPACE/* or *, with commas between them")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *name, *service, *folder, *address, strings.Split(*externalNames, ","), *drain); err != nil {
		slog.Error("ended", "error", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, name, service, folder, address string, externalNames []string, drain time.Duration) error {
	access, err := rest.InClusterConfig()
	if err != nil {
		return err
	}
	access.QPS, access.Burst = 50, 100 // the status of two hundred Ingresses is written in seconds
	client, err := kubernetes.NewForConfig(access)
	if err != nil {
		return err
	}
	heads, err := metadata.NewForConfig(access)
	if err != nil {
		return err
	}
	c, err := newController(ctx, name, service, folder, client, heads)
	if err != nil {
		return err
	}
	c.rules.ExternalNames = externalNames
	failed := make(chan error, 1)
	ready := func() bool { return c.inEffect.Load() && ctx.Err() == nil }
	server := serve(address, c.metrics, c.nginx, ready, failed)
	defer closeWithin(server, askWithin)

	running, end := context.WithCancel(context.Background())
	defer end()
	if err := c.watch.start(ctx); err != nil {
		return err
	}
	idle := make(chan struct{})
	go func() {
		c.run(running)
		close(idle)
	}()
	select {
	case <-ctx.Done():
	case err := <-failed:
		return err
	case err := <-c.nginx.ended:
		return fmt.Errorf("nginx ended by itself: %v", err)
	}
	slog.Info("ending: requests that still come are served", "for", drain)
	time.Sleep(drain)
	end()
	<-idle
	return c.nginx.quit()
}

func newController(ctx context.Context, name, service, folder string, client kubernetes.Interface, heads metadata.Interface) (*controller, error) {
	namespace, serviceName, _ := strings.Cut(service, "/")
	ours := types.NamespacedName{Namespace: namespace, Name: serviceName}
	own, err := selfMade()
	if err != nil {
		return nil, err
	}
	n, err := newNginx(folder)
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile("/etc/resolv.conf")
	if err != nil {
		return nil, err
	}
	resolvers, domain := config.Resolvers(string(text))
	c := &controller{
		rules: model.Rules{Controller: name, ClusterDomain: domain, Service: ours},
		machine: config.Machine{
			Controller: name, Folder: folder, Workers: runtime.GOMAXPROCS(0), // what the container may use
			OpenFiles: openFiles(), Resolvers: resolvers, DefaultCertificate: own.Name,
		},
		own: own, watch: newWatch(client, heads), nginx: n, metrics: newMetrics(n),
		reports: newReports(ctx, client, ours),
		proven:  map[string]bool{}, refused: map[string]string{},
	}
	n.forget(nil) // of an earlier run in the same folder
	return c, n.write(c.certificates())
}

// openFiles returns how many files a worker of nginx may open. A container may start with a low limit that a process may
// raise up to another; a worker without privileges cannot raise it above that.
func openFiles() uint64 {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return config.WantedFiles
	}
	return min(limit.Max, config.WantedFiles)
}

// selfMade returns the certificate for hosts that have none.
func selfMade() (*model.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "ingress default certificate"},
		DNSNames: []string{"ingress.invalid"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(defaultCertificateFor),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	chain, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	block := func(kind string, bytes []byte) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: bytes})
	}
	return model.NewCertificate(block("CERTIFICATE", chain), block("PRIVATE KEY", der))
}
