package model

import (
	"fmt"
	"strings"
	"testing"
	"time"

	core "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	networking "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

var (
	rules = Rules{Controller: "devenv.local/ingress", ClusterDomain: "cluster.local"}
	now   = time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
)

// world is a namespace "shop" with Services s1 to s3, port 80 named http, each with one endpoint that is ready.
func world(ingresses ...*networking.Ingress) Objects {
	o := Objects{
		Classes:   []*networking.IngressClass{class("nginx", rules.Controller)},
		Ingresses: ingresses,
		Services:  map[Key]*core.Service{}, Slices: map[Key][]*discovery.EndpointSlice{}, Certificates: Shelf{},
	}
	for n := 1; n <= 3; n++ {
		o.add(service(fmt.Sprintf("s%d", n)), slice(endpoint(fmt.Sprintf("10.0.0.%d", n))))
	}
	return o
}

func (o Objects) add(service *core.Service, slices ...*discovery.EndpointSlice) {
	key := Key{Namespace: service.Namespace, Name: service.Name}
	o.Services[key], o.Slices[key] = service, slices
}

func class(name, controller string) *networking.IngressClass {
	return &networking.IngressClass{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: networking.IngressClassSpec{Controller: controller}}
}

func service(name string) *core.Service {
	return &core.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name},
		Spec:       core.ServiceSpec{Ports: []core.ServicePort{{Name: "http", Port: 80}, {Name: "admin", Port: 81}}},
	}
}

func slice(endpoints ...discovery.Endpoint) *discovery.EndpointSlice {
	return &discovery.EndpointSlice{
		AddressType: discovery.AddressTypeIPv4, Endpoints: endpoints,
		Ports: []discovery.EndpointPort{{Name: new("http"), Port: new(int32(8080))}, {Name: new("admin"), Port: new(int32(8081))}},
	}
}

func endpoint(address string) discovery.Endpoint {
	return discovery.Endpoint{Addresses: []string{address}}
}

// ingress is named and aged by its first argument: "1" is the oldest. The rest are rules as host, path type, path and
// Service: "foo.com Prefix /a s1".
func ingress(name string, lines ...string) *networking.Ingress {
	var age int
	_, _ = fmt.Sscanf(name, "%d", &age)
	i := &networking.Ingress{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "shop", Name: name, UID: types.UID(name), Annotations: map[string]string{},
			CreationTimestamp: metav1.NewTime(now.Add(time.Duration(age) * time.Minute)),
		},
		Spec: networking.IngressSpec{IngressClassName: new("nginx")},
	}
	for _, line := range lines {
		var host, kind, path, to string
		if n, _ := fmt.Sscan(line, &host, &kind, &path, &to); n != 4 {
			panic(line)
		}
		rule := networking.IngressRule{Host: strings.TrimPrefix(host, "-")}
		rule.HTTP = &networking.HTTPIngressRuleValue{Paths: []networking.HTTPIngressPath{{
			Path: path, PathType: new(networking.PathType(kind)), Backend: backend(to),
		}}}
		i.Spec.Rules = append(i.Spec.Rules, rule)
	}
	return i
}

func backend(service string) networking.IngressBackend {
	port := networking.ServiceBackendPort{Number: 80}
	return networking.IngressBackend{Service: &networking.IngressServiceBackend{Name: service, Port: port}}
}

func withDefault(i *networking.Ingress, service string) *networking.Ingress {
	i.Spec.DefaultBackend = new(backend(service))
	return i
}

func withTLS(i *networking.Ingress, secret string, hosts ...string) *networking.Ingress {
	i.Spec.TLS = append(i.Spec.TLS, networking.IngressTLS{Hosts: hosts, SecretName: secret})
	return i
}

func build(o Objects) (Model, []Problem) { return Build(rules, o, Claimed(rules, o), now) }

// expect sees where a request goes: to the Service named, or to nowhere with a status.
func expect(t *testing.T, o Objects, host, path, want string) {
	t.Helper()
	m, _ := build(o)
	target := m.Route(host, path).Target
	got := strings.TrimSuffix(strings.TrimPrefix(target.Upstream, "shop_"), "_80")
	if target.Status != 0 {
		got = fmt.Sprint(target.Status)
	}
	if got != want {
		t.Errorf("%s%s goes to %s, not to %s", host, path, got, want)
	}
}

// told sees that exactly these reasons are told, each of the Ingress before its colon.
func told(t *testing.T, o Objects, want ...string) []Problem {
	t.Helper()
	_, problems := build(o)
	var got []string
	for _, p := range problems {
		got = append(got, p.Object.Name+":"+p.Reason)
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("told %v, not %v: %v", got, want, problems)
	}
	return problems
}
