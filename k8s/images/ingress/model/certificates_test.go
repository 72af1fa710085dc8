package model

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	core "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

var (
	shopTLS = Key{Namespace: "shop", Name: "tls"}
	theTLS  = map[Key]bool{shopTLS: true}
)

// secret has a certificate for the hosts, made anew at each call.
func secret(t *testing.T, notAfter time.Time, hosts ...string) *core.Secret {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: hosts, NotBefore: notAfter.AddDate(-2, 0, 0), NotAfter: notAfter}
	chain, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return &core.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "tls", UID: "u", ResourceVersion: chainVersion(chain)},
		Type:       core.SecretTypeTLS,
		Data: map[string][]byte{
			core.TLSCertKey:       pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: chain}),
			core.TLSPrivateKeyKey: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}),
		},
	}
}

func chainVersion(chain []byte) string { return string(types.UID(chain[len(chain)-8:])) }

func (s Shelf) with(secret *core.Secret) Shelf {
	return s.Next(theTLS, map[Key]*core.Secret{shopTLS: secret}, nil, nil)
}

func TestANewCertificateReplacesTheOldOne(t *testing.T) {
	first := Shelf{}.with(secret(t, now.AddDate(1, 0, 0), "foo.com"))
	second := first.with(secret(t, now.AddDate(1, 0, 0), "foo.com"))
	if second[shopTLS].Fault != "" || first[shopTLS].Certificate.Name == second[shopTLS].Certificate.Name {
		t.Error(first[shopTLS], second[shopTLS])
	}
}

func TestADeletedOrBrokenSecretKeepsTheLastGoodCertificateAndReports(t *testing.T) {
	good := Shelf{}.with(secret(t, now.AddDate(1, 0, 0), "foo.com"))
	broken, mixed := secret(t, now), secret(t, now)
	broken.Data[core.TLSCertKey] = []byte("no certificate")
	mixed.Data[core.TLSPrivateKeyKey] = secret(t, now).Data[core.TLSPrivateKeyKey]
	weak := secret(t, now, "foo.com")
	refused := map[string]string{Shelf{}.with(weak)[shopTLS].Certificate.Name: "ee key too small"}
	for reason, next := range map[string]Shelf{
		CertificateMissing:            good.with(nil),
		CertificateBroken:             good.with(broken),
		CertificateBroken + " mixed":  good.with(mixed),
		CertificateBroken + " nginx":  good.Next(theTLS, map[Key]*core.Secret{shopTLS: weak}, refused, nil),
		CertificateBroken + " opaque": good.Next(theTLS, nil, nil, theTLS),
	} {
		kept := next.with(next[shopTLS].Secret)[shopTLS] // looked at twice
		if strings.Contains(reason, "nginx") || strings.Contains(reason, "opaque") {
			kept = next[shopTLS]
		}
		if kept.Certificate != good[shopTLS].Certificate || !strings.HasPrefix(reason, kept.Reason) {
			t.Error(reason, kept)
		}
		o := world(withTLS(ingress("1", "foo.com Prefix / s1"), "tls", "foo.com"))
		o.Certificates = next
		m, problems := build(o)
		if m.Hosts[1].Certificate != good[shopTLS].Certificate {
			t.Error(reason, "serves", m.Hosts[1].Certificate)
		}
		if len(problems) == 0 || problems[0].Reason != kept.Reason || problems[0].Object.Name != "1" {
			t.Error(reason, problems)
		}
		if again := next.with(secret(t, now.AddDate(1, 0, 0), "foo.com"))[shopTLS]; again.Fault != "" {
			t.Error(reason, "is not mended by a good Secret", again.Fault)
		}
	}
}

func TestASecretThatNobodyNamesIsForgotten(t *testing.T) {
	good := Shelf{}.with(secret(t, now.AddDate(1, 0, 0), "foo.com"))
	if left := good.Next(nil, nil, nil, nil); len(left) != 0 {
		t.Error(left)
	}
}

func TestWithoutAnyCertificateTheHostIsServedWithTheDefaultOne(t *testing.T) {
	o := world(withTLS(ingress("1", "foo.com Prefix / s1"), "tls", "foo.com"))
	o.Certificates = Shelf{}.with(nil)
	m, _ := build(o)
	if m.Hosts[1].Certificate != nil || !m.Hosts[1].Paths[0].Redirect {
		t.Error(m.Hosts[1])
	}
	told(t, o, "1:CertificateMissing")
}

func TestAnExpiredCertificateIsServedAndTold(t *testing.T) {
	o := world(withTLS(ingress("1", "foo.com Prefix / s1"), "tls", "foo.com"))
	o.Certificates = Shelf{}.with(secret(t, now.Add(-time.Second), "foo.com"))
	told(t, o, "1:CertificateExpired")
	if m, _ := build(o); m.Hosts[1].Certificate == nil {
		t.Error("not served")
	}
}

func TestACertificateForAnotherHostIsTold(t *testing.T) {
	for host, want := range map[string][]string{"foo.com": {"1:" + CertificateNoMatch}, "a.bar.com": nil, "a.b.bar.com": {"1:" + CertificateNoMatch}} {
		o := world(withTLS(ingress("1", host+" Prefix / s1"), "tls", host))
		o.Certificates = Shelf{}.with(secret(t, now.AddDate(1, 0, 0), "*.bar.com"))
		told(t, o, want...)
	}
}

// "they are multiplexed on the same port according to the hostname specified through the SNI TLS extension".
func TestEachHostHasTheCertificateOfItsOwnTLSSection(t *testing.T) {
	i := ingress("1", "a.com Prefix / s1", "x.b.com Prefix / s1", "c.com Prefix / s1")
	o := world(withTLS(withTLS(i, "one", "a.com"), "two", "*.b.com"))
	one, two := Key{Namespace: "shop", Name: "one"}, Key{Namespace: "shop", Name: "two"}
	secrets := map[Key]*core.Secret{one: secret(t, now.AddDate(1, 0, 0), "a.com"), two: secret(t, now.AddDate(1, 0, 0), "*.b.com")}
	o.Certificates = Shelf{}.Next(map[Key]bool{one: true, two: true}, secrets, nil, nil)
	m, _ := build(o)
	want := map[string]*Certificate{"": nil, "a.com": o.Certificates[one].Certificate, "c.com": nil, "x.b.com": o.Certificates[two].Certificate}
	for _, host := range m.Hosts {
		if host.Certificate != want[host.Name] {
			t.Error(host.Name, host.Certificate)
		}
	}
	told(t, o)
}

func TestOfTwoCertificatesForAHostTheOldestIngressWins(t *testing.T) {
	o := world(
		withTLS(ingress("1", "foo.com Prefix /a s1"), "tls", "foo.com"),
		withTLS(ingress("2", "foo.com Prefix /b s1"), "tls2", "foo.com"),
	)
	o.Certificates = Shelf{}.with(secret(t, now.AddDate(1, 0, 0), "foo.com"))
	m, _ := build(o)
	if m.Hosts[1].Certificate != o.Certificates[shopTLS].Certificate {
		t.Error(m.Hosts[1].Certificate)
	}
	told(t, o, "2:Conflict")
}

func TestOnlyPathsOfAnIngressWithTLSRedirectToIt(t *testing.T) {
	off := withTLS(ingress("3", "foo.com Prefix /c s1"), "tls", "foo.com")
	off.Annotations[known+"ssl-redirect"] = "false"
	o := world(withTLS(ingress("1", "foo.com Prefix /a s1"), "", "foo.com"), ingress("2", "foo.com Prefix /b s1"), off)
	m, _ := build(o)
	for path, want := range map[string]bool{"/a": true, "/b": false, "/c": false, "/d": false} {
		if got := m.Route("foo.com", path).Redirect; got != want {
			t.Error(path, got)
		}
	}
}
