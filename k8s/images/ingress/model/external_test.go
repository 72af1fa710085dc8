package model

import (
	"strings"
	"testing"

	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func external(name, to string) *core.Service {
	return &core.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name},
		Spec:       core.ServiceSpec{Type: core.ServiceTypeExternalName, ExternalName: to},
	}
}

// allowing builds with external names that an administrator allows.
func allowing(o Objects, names ...string) (Target, []Problem) {
	r := rules
	r.ExternalNames = names
	m, problems := Build(r, o, Claimed(r, o), now)
	return m.Route("foo.com", "/").Target, problems
}

func TestAnExternalNameOfItsNamespaceLeadsToTheEndpointsOfItsService(t *testing.T) {
	for _, name := range []string{"s2.shop.svc.cluster.local", "s2.shop.svc", "S2.shop.svc.cluster.local."} {
		o := world(ingress("1", "foo.com Prefix / alias"))
		o.add(external("alias", name))
		expect(t, o, "foo.com", "/", "s2")
		o.add(external("again", name))
		o.add(external("alias", "again.shop.svc"))
		expect(t, o, "foo.com", "/", "s2")
		told(t, o)
	}
}

func TestAnExternalNameOfThisClusterWithoutItsServiceIsTold(t *testing.T) {
	o := world(ingress("1", "foo.com Prefix / alias"))
	o.add(external("alias", "nobody.shop.svc.cluster.local"))
	expect(t, o, "foo.com", "/", "503")
	told(t, o, "1:UnknownBackend")
	o.add(external("alias", "alias.shop.svc.cluster.local")) // a circle
	expect(t, o, "foo.com", "/", "503")
	told(t, o, "1:UnknownBackend")
	for _, name := range []string{"a;b", "*.example.com", ""} {
		o.add(external("alias", name))
		told(t, o, "1:UnknownBackend")
	}
}

func TestAnAddressIsNoExternalNameWhoeverAllowsIt(t *testing.T) {
	for _, name := range []string{
		"169.254.169.254", "169.254.169.254.", "10.0.0.1", "127.0.0.1", "fd00::1", "::ffff:169.254.169.254",
		"2852039166", "169.254.43518", "0xa9fea9fe", "0xa9.0xfe.0xa9.0xfe", "example.1",
	} {
		o := world(ingress("1", "foo.com Prefix / alias"))
		o.add(external("alias", name))
		expect(t, o, "foo.com", "/", "503")
		told(t, o, "1:ForbiddenBackend")
		if target, problems := allowing(o, "*"); target.Status != 503 || len(problems) != 1 {
			t.Error(name, target, problems)
		}
	}
}

func TestAnExternalNameOutOfItsNamespaceIsFollowedOnlyIfAllowed(t *testing.T) {
	other := service("s1")
	other.Namespace = "bank"
	for name, want := range map[string]Target{
		"s1.bank.svc.cluster.local":              {Upstream: "bank_s1_80"},
		"example.com":                            {Name: "example.com:80"},
		"pod.s1.bank.svc.cluster.local":          {Name: "pod.s1.bank.svc.cluster.local:80"},
		"10-0-0-1.bank.pod.cluster.local":        {Name: "10-0-0-1.bank.pod.cluster.local:80"},
		"s1.bank.svc.cluster.local.example.com.": {Name: "s1.bank.svc.cluster.local.example.com:80"},
	} {
		o := world(ingress("1", "foo.com Prefix / alias"))
		o.add(other, slice(endpoint("10.0.9.9")))
		o.add(external("alias", name))
		for _, allowed := range []string{"shop/alias", "shop/*", "*"} {
			if target, problems := allowing(o, "bank/x", allowed); target != want || len(problems) != 0 {
				t.Error(name, allowed, target, problems)
			}
		}
		for _, allowed := range []string{"", "shop/other", "bank/*", "shop", "bank/alias"} {
			target, problems := allowing(o, allowed)
			if target.Status != 503 || len(problems) != 1 || problems[0].Reason != ForbiddenBackend {
				t.Error(name, allowed, target, problems)
			}
		}
		// Nor by way of another alias in the namespace.
		o.add(external("front", "alias.shop.svc"))
		o.Ingresses[0] = ingress("1", "foo.com Prefix / front")
		expect(t, o, "foo.com", "/", "503")
		problems := told(t, o, "1:ForbiddenBackend")
		if !strings.Contains(problems[0].Message, "--allow-external-name=shop/alias") {
			t.Error(problems[0].Message)
		}
		if target, _ := allowing(o, "shop/front"); target.Status != 503 {
			t.Error("an alias allows what it leads to", target)
		}
	}
}

func TestAnAppProtocolThatIsNotSpokenIsToldAndServedInHTTP1(t *testing.T) {
	for protocol, reasons := range map[string][]string{
		"http": nil, "kubernetes.io/ws": nil,
		"kubernetes.io/h2c": {"1:UnsupportedProtocol"}, "https": {"1:UnsupportedProtocol"}, "grpc": {"1:UnsupportedProtocol"},
	} {
		o := world(ingress("1", "foo.com Prefix / s1"))
		o.Services[Key{Namespace: "shop", Name: "s1"}].Spec.Ports[0].AppProtocol = new(protocol)
		expect(t, o, "foo.com", "/", "s1")
		told(t, o, reasons...)
	}
}

func TestAServiceThatAsksForTheProxyProtocolIsTold(t *testing.T) {
	r := rules
	r.Service = Key{Namespace: "edge", Name: "controller"}
	for value, reasons := range map[string]int{"*": 1, "true": 1, "false": 0, "": 0} {
		o := world()
		o.add(&core.Service{ObjectMeta: metav1.ObjectMeta{
			Namespace: "edge", Name: "controller",
			Annotations: map[string]string{"service.beta.kubernetes.io/aws-load-balancer-proxy-protocol": value},
		}})
		_, problems := Build(r, o, []*networking.Ingress{}, now)
		if len(problems) != reasons {
			t.Errorf("%q: %v", value, problems)
		}
		for _, p := range problems {
			if p.Kind != "Service" || p.Object != r.Service || p.Reason != UnsupportedProtocol {
				t.Error(p)
			}
		}
	}
}
