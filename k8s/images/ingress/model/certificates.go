package model

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"maps"

	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
)

// Certificate is a certificate with its key, named after its content.
type Certificate struct {
	Name string
	PEM  []byte // the chain, then the key
	Leaf *x509.Certificate
}

// Shelf holds what is served for each Secret that an Ingress names.
type Shelf map[Key]Kept

// Kept is the last good certificate of a Secret, and what is wrong with the Secret now, if anything.
type Kept struct {
	Certificate *Certificate
	Version     string // of the Secret that was looked at
	Secret      *core.Secret
	Reason      string
	Fault       string
}

// NewCertificate returns the certificate of a chain and its key. Faults that are nginx's to find are left to it.
func NewCertificate(chain, key []byte) (*Certificate, error) {
	pair, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return nil, err
	}
	text := append(append(append([]byte{}, chain...), '\n'), key...)
	sum := sha256.Sum256(text)
	return &Certificate{hex.EncodeToString(sum[:12]), text, pair.Leaf}, nil
}

// Named returns the Secrets that the Ingresses name for TLS.
func Named(ingresses []*networking.Ingress) map[Key]bool {
	names := map[Key]bool{}
	for _, ingress := range ingresses {
		for _, entry := range ingress.Spec.TLS {
			if entry.SecretName != "" {
				names[Key{Namespace: ingress.Namespace, Name: entry.SecretName}] = true
			}
		}
	}
	return names
}

// Next returns the shelf for the Secrets that are named now. A Secret that is gone or broken keeps its last good
// certificate. `refused` has nginx's word on certificates by name; `otherType` the Secrets that are there but of another
// type, which are never read.
func (s Shelf) Next(named map[Key]bool, secrets map[Key]*core.Secret, refused map[string]string, otherType map[Key]bool) Shelf {
	next := Shelf{}
	for key := range named {
		next[key] = s[key].next(key, secrets[key], refused, otherType[key])
	}
	return next
}

func (k Kept) next(key Key, secret *core.Secret, refused map[string]string, otherType bool) Kept {
	kept := func(reason, fault string) Kept {
		if k.Certificate != nil {
			fault += "; the last good certificate is still served"
		} else {
			fault += "; the controller's own certificate is served"
		}
		return Kept{Certificate: k.Certificate, Secret: secret, Reason: reason, Fault: fault}
	}
	switch {
	case secret == nil && otherType:
		return kept(CertificateBroken, fmt.Sprintf("Secret %s is not of type %s", key, core.SecretTypeTLS))
	case secret == nil:
		return kept(CertificateMissing, fmt.Sprintf("there is no Secret %s of type %s", key, core.SecretTypeTLS))
	}
	version := string(secret.UID) + secret.ResourceVersion
	if k.Fault == "" && k.Version == version && (k.Certificate == nil || refused[k.Certificate.Name] == "") {
		return k
	}
	certificate, err := NewCertificate(secret.Data[core.TLSCertKey], secret.Data[core.TLSPrivateKeyKey])
	if err != nil {
		return kept(CertificateBroken, fmt.Sprintf("Secret %s: %v", key, err))
	}
	if why := refused[certificate.Name]; why != "" {
		return kept(CertificateBroken, fmt.Sprintf("Secret %s: nginx refuses it: %s", key, why))
	}
	return Kept{Certificate: certificate, Version: version, Secret: secret}
}

// Certificates returns those on the shelf by their names.
func (s Shelf) Certificates() map[string]*Certificate {
	found := map[string]*Certificate{}
	for kept := range maps.Values(s) {
		if kept.Certificate != nil {
			found[kept.Certificate.Name] = kept.Certificate
		}
	}
	return found
}
