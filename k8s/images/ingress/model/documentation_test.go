package model

import (
	"fmt"
	"testing"

	networking "k8s.io/api/networking/v1"
)

// Source of all sentences: https://kubernetes.io/docs/concepts/services-networking/ingress/

// The table of examples.
func TestPathTypesMatchAsTheTableOfExamplesSays(t *testing.T) {
	for _, row := range []struct {
		paths   []string
		request string
		want    string
	}{
		{[]string{"Prefix /"}, "/", "s1"},
		{[]string{"Prefix /"}, "/any/path", "s1"},
		{[]string{"Exact /foo"}, "/foo", "s1"},
		{[]string{"Exact /foo"}, "/bar", "404"},
		{[]string{"Exact /foo"}, "/foo/", "404"},
		{[]string{"Exact /foo/"}, "/foo", "404"},
		{[]string{"Prefix /foo"}, "/foo", "s1"},
		{[]string{"Prefix /foo"}, "/foo/", "s1"},
		{[]string{"Prefix /foo/"}, "/foo", "s1"},
		{[]string{"Prefix /foo/"}, "/foo/", "s1"},
		{[]string{"Prefix /aaa/bb"}, "/aaa/bbb", "404"},
		{[]string{"Prefix /aaa/bbb"}, "/aaa/bbb", "s1"},
		{[]string{"Prefix /aaa/bbb/"}, "/aaa/bbb", "s1"},
		{[]string{"Prefix /aaa/bbb"}, "/aaa/bbb/", "s1"},
		{[]string{"Prefix /aaa/bbb"}, "/aaa/bbb/ccc", "s1"},
		{[]string{"Prefix /aaa/bbb"}, "/aaa/bbbxyz", "404"},
		{[]string{"Prefix /", "Prefix /aaa"}, "/aaa/ccc", "s2"},
		{[]string{"Prefix /", "Prefix /aaa", "Prefix /aaa/bbb"}, "/aaa/bbb", "s3"},
		{[]string{"Prefix /", "Prefix /aaa", "Prefix /aaa/bbb"}, "/ccc", "s1"},
		{[]string{"Prefix /aaa"}, "/ccc", "404"},
		{[]string{"Prefix /foo", "Exact /foo"}, "/foo", "s2"},
	} {
		var lines []string
		for n, path := range row.paths {
			lines = append(lines, fmt.Sprintf("foo.com %s s%d", path, n+1))
		}
		t.Run(fmt.Sprint(row.paths, row.request), func(t *testing.T) {
			expect(t, world(ingress("1", lines...)), "foo.com", row.request, row.want)
		})
	}
}

// "Exact: Matches the URL path exactly and with case sensitivity." "Prefix: … Matching is case sensitive".
func TestPathsAreCaseSensitive(t *testing.T) {
	o := world(ingress("1", "foo.com Exact /One s1", "foo.com Prefix /Two s2"))
	expect(t, o, "foo.com", "/One", "s1")
	expect(t, o, "foo.com", "/one", "404")
	expect(t, o, "foo.com", "/Two/x", "s2")
	expect(t, o, "foo.com", "/two/x", "404")
}

// "ImplementationSpecific: … Implementations can treat this as a separate pathType or treat it identically to Prefix or
// Exact path types." Ours is as Prefix.
func TestImplementationSpecificIsAsPrefix(t *testing.T) {
	o := world(ingress("1", "foo.com ImplementationSpecific /foo/ s1"))
	expect(t, o, "foo.com", "/foo", "s1")
	expect(t, o, "foo.com", "/foo/bar", "s1")
	expect(t, o, "foo.com", "/foobar", "404")
}

// "precedence will be given first to the longest matching path. If two paths are still equally matched, precedence will
// be given to paths with an exact path type over prefix path type."
func TestTheLongestPathIsFirstAndExactBeforePrefix(t *testing.T) {
	o := world(ingress("1", "foo.com Prefix /a s1", "foo.com Prefix /a/b s2", "foo.com Exact /a/b s3"))
	expect(t, o, "foo.com", "/a/c", "s1")
	expect(t, o, "foo.com", "/a/b/c", "s2")
	expect(t, o, "foo.com", "/a/b", "s3")
}

// "If no host is specified, the rule applies to all inbound HTTP traffic through the IP address specified."
func TestARuleWithoutAHostIsForAllHosts(t *testing.T) {
	o := world(ingress("1", "- Prefix / s1"))
	expect(t, o, "anything.example", "/", "s1")
	expect(t, o, "192.0.2.1", "/", "s1")
}

// "If a host is provided (for example, foo.bar.com), the rules apply to that host."
// "Both the host and path must match the content of an incoming request".
func TestHostAndPathMustBothMatch(t *testing.T) {
	o := world(ingress("1", "foo.bar.com Prefix /a s1"))
	expect(t, o, "foo.bar.com", "/a", "s1")
	expect(t, o, "foo.bar.com", "/b", "404")
	expect(t, o, "other.bar.com", "/a", "404")
}

// "Name-based virtual hosts support routing HTTP traffic to multiple host names at the same IP address", and "any
// traffic whose request host header doesn't match first.bar.com and second.bar.com to service3".
func TestHostsAreToldApartAndTheRestGoesToTheRuleWithoutOne(t *testing.T) {
	o := world(ingress("1", "first.bar.com Prefix / s1", "second.bar.com Prefix / s2", "- Prefix / s3"))
	expect(t, o, "first.bar.com", "/", "s1")
	expect(t, o, "second.bar.com", "/", "s2")
	expect(t, o, "third.bar.com", "/", "s3")
}

// "A fanout configuration routes traffic from a single IP address to more than one Service, based on the HTTP URI".
func TestOneHostFansOutToManyServices(t *testing.T) {
	o := world(ingress("1", "foo.bar.com Prefix /foo s1"), ingress("2", "foo.bar.com Prefix /bar s2"))
	expect(t, o, "foo.bar.com", "/foo", "s1")
	expect(t, o, "foo.bar.com", "/bar", "s2")
}

// The table of hostname wildcards: "Wildcard matches require the HTTP host header is equal to the suffix of the wildcard
// rule", and cover a single DNS label.
func TestAWildcardIsExactlyOneLabel(t *testing.T) {
	o := world(ingress("1", "*.foo.com Prefix / s1"))
	expect(t, o, "bar.foo.com", "/", "s1")
	expect(t, o, "baz.bar.foo.com", "/", "404")
	expect(t, o, "foo.com", "/", "404")
}

// "Hosts can be precise matches … or a wildcard": the precise one is closer.
func TestAPreciseHostIsBeforeAWildcard(t *testing.T) {
	o := world(ingress("1", "*.foo.com Prefix / s1"), ingress("2", "bar.foo.com Prefix / s2"))
	expect(t, o, "bar.foo.com", "/", "s2")
	expect(t, o, "baz.foo.com", "/", "s1")
}

// "An Ingress with no rules sends all traffic to a single default backend".
func TestAnIngressWithoutRulesSendsAllToItsDefaultBackend(t *testing.T) {
	o := world(withDefault(ingress("1"), "s1"))
	expect(t, o, "anything.example", "/any", "s1")
}

// "If none of the hosts or paths match the HTTP request in the Ingress objects, the traffic is routed to your default
// backend."
func TestWhatNoHostAndNoPathTakesGoesToTheDefaultBackend(t *testing.T) {
	o := world(withDefault(ingress("1", "foo.com Prefix /a s1"), "s2"))
	expect(t, o, "foo.com", "/a", "s1")
	expect(t, o, "foo.com", "/b", "s2")
	expect(t, o, "bar.com", "/a", "s2")
}

// "If defaultBackend is not set, the handling of requests that do not match any of the rules will be up to the ingress
// controller": ours answers 404.
func TestWithoutADefaultBackendTheRestIsNotFound(t *testing.T) {
	expect(t, world(ingress("1", "foo.com Prefix /a s1")), "bar.com", "/a", "404")
	expect(t, world(), "bar.com", "/", "404")
}

// A host's own default backend is closer than that of all hosts.
func TestAHostsOwnDefaultBackendIsBeforeThatOfAllHosts(t *testing.T) {
	o := world(withDefault(ingress("1"), "s1"), withDefault(ingress("2", "foo.com Prefix /a s3"), "s2"))
	expect(t, o, "foo.com", "/b", "s2")
	expect(t, o, "bar.com", "/b", "s1")
	told(t, o, "2:Conflict")
}

// A rule without paths: its host's traffic goes to the default backend.
func TestARuleWithoutPathsIsItsDefaultBackends(t *testing.T) {
	i := withDefault(ingress("1"), "s1")
	i.Spec.Rules = []networking.IngressRule{{Host: "foo.com"}}
	expect(t, world(i, ingress("2", "- Prefix / s2")), "foo.com", "/", "s1")
}

// "a reference to an IngressClass resource that contains … the name of the controller that should implement the class."
func TestOnlyIngressesOfOurClassesAreServed(t *testing.T) {
	other := ingress("1", "foo.com Prefix / s1")
	other.Spec.IngressClassName = new("other")
	unknown := ingress("2", "foo.com Prefix / s2")
	unknown.Spec.IngressClassName = new("unknown")
	o := world(other, unknown)
	o.Classes = append(o.Classes, class("other", "example.com/other"))
	expect(t, o, "foo.com", "/", "404")
	o.Classes[1].Spec.Controller = rules.Controller
	expect(t, o, "foo.com", "/", "s1")
}

// "Setting the ingressclass.kubernetes.io/is-default-class annotation to true … new Ingresses without an
// ingressClassName field specified will be assigned this default IngressClass."
func TestAnIngressWithoutAClassIsOfTheDefaultClass(t *testing.T) {
	i := ingress("1", "foo.com Prefix / s1")
	i.Spec.IngressClassName = nil
	o := world(i)
	expect(t, o, "foo.com", "/", "404")
	o.Classes[0].Annotations = map[string]string{networking.AnnotationIsDefaultIngressClass: "true"}
	expect(t, o, "foo.com", "/", "s1")
}

// "Before the IngressClass resource and ingressClassName field were added in Kubernetes 1.18, Ingress classes were
// specified with a kubernetes.io/ingress.class annotation". The API: it "must be given precedence over this field".
func TestTheOldAnnotationOfTheClassHasPrecedence(t *testing.T) {
	i := ingress("1", "foo.com Prefix / s1")
	i.Annotations["kubernetes.io/ingress.class"] = "other"
	expect(t, world(i), "foo.com", "/", "404")
	i.Annotations["kubernetes.io/ingress.class"] = "nginx"
	i.Spec.IngressClassName = nil
	expect(t, world(i), "foo.com", "/", "s1")
}

// "A backend is a combination of Service and port names".
func TestAPortIsNamedByNumberOrByName(t *testing.T) {
	i := ingress("1", "foo.com Prefix / s1")
	o := world(i)
	i.Spec.Rules[0].HTTP.Paths[0].Backend.Service.Port = networking.ServiceBackendPort{Name: "admin"}
	m, _ := build(o)
	if at := m.Upstreams[0].Ready; len(m.Upstreams) != 1 || at[0] != "10.0.0.1:8081" {
		t.Error(m.Upstreams)
	}
}
