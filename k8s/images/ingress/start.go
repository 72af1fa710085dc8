package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"os"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"

	"devenv.local/ingress/config"
	"devenv.local/ingress/model"
)

const (
	defaultCertificate    = "default" // its name; it is made once for a pod, so that a controller that starts again changes nothing
	defaultCertificateFor = 10 * 365 * 24 * time.Hour
)

func runController(ctx context.Context, o options) error {
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
	c, err := newController(ctx, o, client, heads)
	if err != nil {
		return err
	}
	failed := make(chan error, 1)
	// That nginx does not answer is for its own container to say.
	mux := probes(func() error { return nil }, func() bool { return c.inEffect.Load() && ctx.Err() == nil })
	mux.Handle("/metrics", c.metrics.handler())
	server := serve(o.address, mux, failed)
	defer closeWithin(server, askWithin)

	running, end := context.WithCancel(context.Background())
	defer end()
	if err := c.watch.start(ctx); err != nil {
		return err
	}
	pod, err := os.Hostname() // a container that starts again need not wait for its own Lease to end
	if err != nil {
		return err
	}
	released, err := c.reports.lead(ctx, pod, c.watch.notify)
	if err != nil {
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
	}
	slog.Info("ending: nginx is still kept up to date", "for", o.drain)
	time.Sleep(o.drain)
	end()
	<-idle
	<-released
	return nil
}

func newController(ctx context.Context, o options, client kubernetes.Interface, heads metadata.Interface) (*controller, error) {
	namespace, serviceName, _ := strings.Cut(o.service, "/")
	ours := types.NamespacedName{Namespace: namespace, Name: serviceName}
	own, err := selfMade()
	if err != nil {
		return nil, err
	}
	n, err := newNginx(o.folder)
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile("/etc/resolv.conf") // nginx's container has the same
	if err != nil {
		return nil, err
	}
	resolvers, domain := config.Resolvers(string(text))
	c := &controller{
		rules: model.Rules{Controller: o.name, ClusterDomain: domain, Service: ours, ExternalNames: o.externalNames},
		machine: config.Machine{
			Controller: o.name, Folder: o.folder, Resolvers: resolvers, DefaultCertificate: own.Name,
		},
		own: own, watch: newWatch(client, heads), nginx: n, metrics: newMetrics(n),
		reports: newReports(ctx, client, ours),
		proven:  map[string]bool{}, refused: map[string]string{},
	}
	return c, n.write(c.certificates())
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
	made, err := model.NewCertificate(block("CERTIFICATE", chain), block("PRIVATE KEY", der))
	if err == nil {
		made.Name = defaultCertificate
	}
	return made, err
}
