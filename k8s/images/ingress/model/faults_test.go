package model

import (
	"strings"
	"testing"

	core "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	networking "k8s.io/api/networking/v1"
)

func TestOfTwoIngressesWithTheSameHostAndPathTheOldestWinsAndTheOtherIsTold(t *testing.T) {
	older, newer := ingress("1", "foo.com Prefix /a s1"), ingress("2", "foo.com Prefix /a/ s2", "foo.com Prefix /b s2")
	for _, order := range [][]*networking.Ingress{{older, newer}, {newer, older}} {
		o := world(order...)
		expect(t, o, "foo.com", "/a", "s1")
		expect(t, o, "foo.com", "/b", "s2")
		problems := told(t, o, "2:Conflict")
		if !strings.Contains(problems[0].Message, "older Ingress shop/1") {
			t.Error(problems[0].Message)
		}
	}
}

func TestAnUnknownServiceOrPortIsToldAndEverythingElseServes(t *testing.T) {
	i := ingress("1", "foo.com Prefix / s1", "foo.com Prefix /none nobody", "foo.com Prefix /port s2", "foo.com Prefix /thing s3")
	i.Spec.Rules[2].HTTP.Paths[0].Backend.Service.Port.Number = 99
	i.Spec.Rules[3].HTTP.Paths[0].Backend = networking.IngressBackend{Resource: &core.TypedLocalObjectReference{}}
	o := world(i, ingress("2", "bar.com Prefix / s3"))
	expect(t, o, "foo.com", "/", "s1")
	expect(t, o, "foo.com", "/none/x", "503")
	expect(t, o, "foo.com", "/port", "503")
	expect(t, o, "foo.com", "/thing", "503")
	expect(t, o, "bar.com", "/", "s3")
	told(t, o, "1:UnknownBackend", "1:UnknownBackend", "1:UnknownBackend")
}

func TestAnInvalidHostIsToldAndEverythingElseServes(t *testing.T) {
	for _, host := range []string{strings.Repeat("a", 64) + ".com", "Foo.com", "*.*.com", "foo_.com", "a;b.com", "a b.com"} {
		i := ingress("1", "foo.com Prefix / s1", "foo.com Prefix /x s1")
		i.Spec.Rules[1].Host = host
		o := world(i)
		expect(t, o, "foo.com", "/", "s1")
		expect(t, o, host, "/x", "404")
		told(t, o, "1:InvalidHost")
	}
}

func TestAnInvalidPathIsToldAndEverythingElseServes(t *testing.T) {
	for _, path := range []string{"/a%zz", "/a%0ab", "/a\nb", "/a%00"} {
		i := ingress("1", "foo.com Prefix / s1", "foo.com Prefix /x s2")
		i.Spec.Rules[1].HTTP.Paths[0].Path = path
		o := world(i)
		expect(t, o, "foo.com", "/a", "s1")
		told(t, o, "1:InvalidPath")
	}
}

func TestAnAnnotationThatIsWrongOrUnknownIsTold(t *testing.T) {
	for _, wrong := range [][2]string{
		{known + "proxy-body-size", "8 bananas"},
		{known + "proxy-body-size", "x8m"},
		{known + "proxy-body-size", "8m; root /"},
		{known + "proxy-read-timeout", "soon"},
		{known + "proxy-read-timeout", "1s; root /"},
		{known + "proxy-connect-timeout", "76"},
		{known + "proxy-connect-timeout", "+5"},
		{known + "ssl-redirect", "perhaps"},
		{own + "hsts", "max-age=1; \"; root /;"},
	} {
		name, value := wrong[0], wrong[1]
		i := ingress("1", "foo.com Prefix / s1")
		i.Annotations[name] = value
		i.Annotations[known+"auth-type"] = "basic"
		i.Annotations[known+"proxy-send-timeout"] = "7"
		o := world(i)
		m, _ := build(o)
		if got := m.Route("foo.com", "/").Settings; got != (Settings{SendTimeout: "7s"}) {
			t.Error(name, got)
		}
		told(t, o, "1:InvalidAnnotation", "1:UnknownAnnotation")
	}
}

func state(address string, ready, serving, terminating bool) discovery.Endpoint {
	c := discovery.EndpointConditions{Ready: &ready, Serving: &serving, Terminating: &terminating}
	return discovery.Endpoint{Addresses: []string{address}, Conditions: c}
}

// Source: the Kubernetes documentation, EndpointSlices, conditions; kube-proxy's rule for terminating endpoints.
func TestEndpointsServeByTheirConditions(t *testing.T) {
	for _, row := range []struct {
		name            string
		endpoints       []discovery.Endpoint
		ready, starting string
	}{
		{"unset means ready", []discovery.Endpoint{endpoint("1.1.1.1")}, "1.1.1.1:8080", ""},
		{"ready", []discovery.Endpoint{state("1.1.1.1", true, true, false)}, "1.1.1.1:8080", ""},
		{"starting alone", []discovery.Endpoint{state("1.1.1.1", false, false, false)}, "", "1.1.1.1:8080"},
		{"starting beside ready", []discovery.Endpoint{state("1.1.1.1", true, true, false), state("2.2.2.2", false, false, false)}, "1.1.1.1:8080", "2.2.2.2:8080"},
		{"leaving beside ready", []discovery.Endpoint{state("1.1.1.1", true, true, false), state("2.2.2.2", false, true, true)}, "1.1.1.1:8080", ""},
		{"leaving alone", []discovery.Endpoint{state("2.2.2.2", false, true, true)}, "2.2.2.2:8080", ""},
		{"gone", []discovery.Endpoint{state("2.2.2.2", false, false, true)}, "", ""},
		{"publishNotReadyAddresses", []discovery.Endpoint{state("2.2.2.2", true, false, true)}, "2.2.2.2:8080", ""},
		{"sorted", []discovery.Endpoint{endpoint("3.3.3.3"), endpoint("1.1.1.1")}, "1.1.1.1:8080 3.3.3.3:8080", ""},
	} {
		got := endpoints("u", []*discovery.EndpointSlice{slice(row.endpoints...)}, "http")
		if strings.Join(got.Ready, " ") != row.ready || strings.Join(got.Starting, " ") != row.starting {
			t.Error(row.name, got)
		}
	}
}

func TestAnEndpointInTwoSlicesIsOne(t *testing.T) {
	starting := state("1.1.1.1", false, false, false)
	got := endpoints("u", []*discovery.EndpointSlice{slice(endpoint("1.1.1.1")), slice(starting), slice(endpoint("1.1.1.1"))}, "http")
	if len(got.Ready) != 1 || len(got.Starting) != 0 {
		t.Error(got)
	}
}

func TestABackendWithoutEndpointsIsUnavailableAndNoFault(t *testing.T) {
	o := world(ingress("1", "foo.com Prefix / s1"))
	o.add(service("s1"), slice(state("1.1.1.1", false, false, false)))
	expect(t, o, "foo.com", "/", "503")
	told(t, o)
}
