package model

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	networking "k8s.io/api/networking/v1"
)

// builder puts Ingresses together, oldest first: what is taken stays taken.
type builder struct {
	rules     Rules
	objects   Objects
	now       time.Time
	hosts     map[string]*Host
	taken     map[string]*networking.Ingress // by what was taken, as a person would name it
	secrets   map[string]Key                 // by host: whose certificate it has
	fallbacks map[string]bool                // hosts that have a default backend of their own
	fallback  *Path                          // for all others
	upstreams map[string]Upstream
	problems  []Problem
}

func newBuilder(rules Rules, objects Objects, now time.Time) *builder {
	return &builder{
		rules: rules, objects: objects, now: now,
		hosts: map[string]*Host{"": {Fallback: Path{Target: Target{Status: 404}}}},
		taken: map[string]*networking.Ingress{}, secrets: map[string]Key{},
		fallbacks: map[string]bool{}, upstreams: map[string]Upstream{},
	}
}

func (b *builder) add(ingress *networking.Ingress) {
	settings, wrong, unknown := settingsOf(ingress.Annotations)
	for _, name := range wrong {
		b.tell(ingress, InvalidAnnotation, "%s is no valid value; nginx's own is used", name)
	}
	for _, name := range unknown {
		b.tell(ingress, UnknownAnnotation, "%s means nothing to this controller", name)
	}
	var hosts []string
	for _, rule := range ingress.Spec.Rules {
		if err := checkHost(rule.Host); err != nil {
			b.tell(ingress, InvalidHost, "host %q: %v", rule.Host, err)
			continue
		}
		hosts = append(hosts, rule.Host)
		if rule.HTTP != nil {
			for _, path := range rule.HTTP.Paths {
				b.addPath(ingress, rule.Host, path, settings)
			}
		}
	}
	b.addDefault(ingress, hosts, settings)
	if ingress.Spec.DefaultBackend != nil {
		hosts = append(hosts, "")
	}
	for _, host := range hosts {
		b.addTLS(ingress, host)
	}
}

func (b *builder) host(name string) *Host {
	if b.hosts[name] == nil {
		b.hosts[name] = &Host{Name: name, Fallback: Path{Target: Target{Status: 404}}}
	}
	return b.hosts[name]
}

// take tells whether a thing is this Ingress's, and tells it who was there before.
func (b *builder) take(ingress *networking.Ingress, thing string) bool {
	if before := b.taken[thing]; before != nil {
		b.tell(ingress, Conflict, "%s is served for the older Ingress %s/%s", thing, before.Namespace, before.Name)
		return false
	}
	b.taken[thing] = ingress
	return true
}

func (b *builder) addPath(ingress *networking.Ingress, host string, wanted networking.HTTPIngressPath, settings Settings) {
	path, err := pathOf(wanted)
	if err != nil {
		b.tell(ingress, InvalidPath, "path %q: %v", wanted.Path, err)
		return
	}
	kind := "prefix"
	if path.Exact {
		kind = "path"
	}
	if !b.take(ingress, fmt.Sprintf("%s %s of host %q", kind, path.Path, host)) {
		return
	}
	path.Settings, path.Redirect = settings, redirects(ingress, host, settings)
	path.Target, err = b.target(ingress, wanted.Backend)
	if err != nil {
		b.tell(ingress, reasonOf(err), "path %s of host %q is answered with 503: %v", path.Path, host, err)
	}
	h := b.host(host)
	h.Paths = append(h.Paths, path)
}

// addDefault gives the hosts of an Ingress its default backend. The oldest default backend of all also takes what no
// host and no path of any Ingress takes.
func (b *builder) addDefault(ingress *networking.Ingress, hosts []string, settings Settings) {
	if ingress.Spec.DefaultBackend == nil {
		for _, host := range hosts {
			b.host(host)
		}
		return
	}
	target, err := b.target(ingress, *ingress.Spec.DefaultBackend)
	if err != nil {
		b.tell(ingress, reasonOf(err), "the default backend is answered with 503: %v", err)
	}
	for _, host := range slices.Compact(slices.Sorted(slices.Values(hosts))) {
		if host != "" && b.take(ingress, fmt.Sprintf("the default backend of host %q", host)) {
			b.host(host).Fallback = Path{Target: target, Settings: settings, Redirect: redirects(ingress, host, settings)}
			b.fallbacks[host] = true
		}
	}
	if b.take(ingress, "the default backend of all hosts") {
		b.fallback = &Path{Target: target, Settings: settings, Redirect: redirects(ingress, "", settings)}
	}
}

func (b *builder) tell(ingress *networking.Ingress, reason, format string, values ...any) {
	key := Key{Namespace: ingress.Namespace, Name: ingress.Name}
	b.problems = append(b.problems, Problem{"Ingress", key, ingress.UID, reason, fmt.Sprintf(format, values...)})
}

// tellOfProxyProtocol tells of our own Service if it asks its load balancer for the PROXY protocol: nginx would take its
// first line for a request and refuse each one.
func (b *builder) tellOfProxyProtocol() {
	service := b.objects.Services[b.rules.Service]
	if service == nil {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(service.Annotations)) {
		value := service.Annotations[name]
		if strings.Contains(name, "proxy-protocol") && value != "" && value != "false" {
			message := fmt.Sprintf("%s: the PROXY protocol is not supported", name)
			b.problems = append(b.problems, Problem{"Service", b.rules.Service, service.UID, UnsupportedProtocol, message})
		}
	}
}

func (b *builder) model() (Model, []Problem) {
	b.tellOfProxyProtocol()
	var m Model
	used := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(b.hosts)) {
		host := *b.hosts[name]
		if b.fallback != nil && !b.fallbacks[name] {
			host.Fallback = *b.fallback
		}
		for _, path := range append(host.Paths, host.Fallback) {
			used[path.Target.Upstream] = true
		}
		m.Hosts = append(m.Hosts, host)
	}
	for _, name := range slices.Sorted(maps.Keys(b.upstreams)) {
		if used[name] {
			m.Upstreams = append(m.Upstreams, b.upstreams[name])
		}
	}
	return m, b.problems
}
