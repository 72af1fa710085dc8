package model

import (
	"fmt"
	"slices"
	"strings"
	"time"

	networking "k8s.io/api/networking/v1"
)

// addTLS gives a host the certificate of an Ingress that has one for it.
func (b *builder) addTLS(ingress *networking.Ingress, host string) {
	entry := tlsOf(ingress, host)
	if entry == nil || entry.SecretName == "" {
		return
	}
	key := Key{Namespace: ingress.Namespace, Name: entry.SecretName}
	if before, set := b.secrets[host]; set && before != key {
		b.take(ingress, fmt.Sprintf("the certificate of host %q", host))
		return
	}
	b.secrets[host] = key
	b.taken[fmt.Sprintf("the certificate of host %q", host)] = ingress
	kept := b.objects.Certificates[key]
	if kept.Fault != "" {
		b.tell(ingress, kept.Reason, "%s", kept.Fault)
		if kept.Secret != nil {
			b.problems = append(b.problems, Problem{"Secret", key, kept.Secret.UID, kept.Reason, kept.Fault})
		}
	}
	if kept.Certificate != nil {
		b.checkCertificate(ingress, kept.Certificate, key, host)
		b.host(host).Certificate = kept.Certificate
	}
}

// checkCertificate tells what a person should know of a certificate that is served all the same.
func (b *builder) checkCertificate(ingress *networking.Ingress, c *Certificate, key Key, host string) {
	if b.now.After(c.Leaf.NotAfter) {
		b.tell(ingress, CertificateExpired, "the certificate of Secret %s expired at %s", key, c.Leaf.NotAfter.Format(time.RFC3339))
	}
	if b.now.Before(c.Leaf.NotBefore) {
		b.tell(ingress, CertificateExpired, "the certificate of Secret %s is not valid before %s", key, c.Leaf.NotBefore.Format(time.RFC3339))
	}
	names := func(name string) bool { return covers(strings.ToLower(name), host) }
	if host != "" && !slices.ContainsFunc(c.Leaf.DNSNames, names) {
		b.tell(ingress, CertificateNoMatch, "the certificate of Secret %s is not for %s", key, host)
	}
}

// tlsOf returns the TLS section of an Ingress for a host: one that has its name, else a wildcard, else one for all.
func tlsOf(ingress *networking.Ingress, host string) *networking.IngressTLS {
	for _, fits := range []func(networking.IngressTLS) bool{
		func(t networking.IngressTLS) bool { return slices.Contains(t.Hosts, host) },
		func(t networking.IngressTLS) bool {
			return slices.ContainsFunc(t.Hosts, func(name string) bool { return covers(name, host) })
		},
		func(t networking.IngressTLS) bool { return len(t.Hosts) == 0 },
	} {
		if n := slices.IndexFunc(ingress.Spec.TLS, fits); n >= 0 {
			return &ingress.Spec.TLS[n]
		}
	}
	return nil
}

// redirects tells whether HTTP leads to HTTPS: for the paths of an Ingress that has TLS for their host.
func redirects(ingress *networking.Ingress, host string, settings Settings) bool {
	return tlsOf(ingress, host) != nil && !settings.NoRedirect
}
