// Package model turns Kubernetes objects into what is to be served, and into what is wrong with them. It is pure: values
// in, values out; what it promises is the documentation of the Ingress API.
package model

import (
	"time"

	core "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	networking "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Key names an object of a kind that is clear from where it stands.
type Key = types.NamespacedName

// Objects is what the API server has, and all that a model is made of.
type Objects struct {
	Classes      []*networking.IngressClass
	Ingresses    []*networking.Ingress
	Services     map[Key]*core.Service
	Slices       map[Key][]*discovery.EndpointSlice // by their Service
	Certificates Shelf
}

// Rules are the controller's own settings.
type Rules struct {
	Controller    string // spec.controller of the IngressClasses that are ours
	ClusterDomain string // such as cluster.local
	Service       Key    // our own, whose address is told
	// Services whose external names may lead out of their namespace: NAMESPACE/NAME, NAMESPACE/* or *.
	ExternalNames []string
}

// Model is what is to be served.
type Model struct {
	Hosts     []Host // sorted by name; the first is "", for requests that no other host takes
	Upstreams []Upstream
}

// Host is the paths of one host, of however many Ingresses.
type Host struct {
	Name        string // "" is every host, "*.example.com" one label more
	Certificate *Certificate
	Paths       []Path
	Fallback    Path // for requests that no path takes
}

// Path is where requests for a path go.
type Path struct {
	Path     string // unescaped; a prefix has no slash at its end
	Exact    bool
	Target   Target
	Redirect bool // to HTTPS
	Settings Settings
}

// Target is one of three: an upstream, a name that DNS knows, or an answer of our own.
type Target struct {
	Upstream string
	Name     string // host:port
	Status   int
}

// Upstream is the endpoints of a Service's port as addresses.
type Upstream struct {
	Name     string
	Ready    []string
	Starting []string // not ready yet: asked only when no ready one takes a connection
}

// Problem is something a person should know of an object.
type Problem struct {
	Kind    string // Ingress, Secret or Service
	Object  Key
	UID     types.UID
	Reason  string
	Message string
}

// The reasons of Problems, as they stand in Events.
const (
	InvalidHost        = "InvalidHost"
	InvalidPath        = "InvalidPath"
	InvalidAnnotation  = "InvalidAnnotation"
	UnknownAnnotation  = "UnknownAnnotation"
	UnknownBackend     = "UnknownBackend"
	ForbiddenBackend   = "ForbiddenBackend"
	Conflict           = "Conflict"
	CertificateMissing = "CertificateMissing"
	CertificateBroken  = "CertificateBroken"
	CertificateExpired = "CertificateExpired"
	CertificateNoMatch = "CertificateDoesNotMatch"
	Refused            = "ConfigurationRefused" // by nginx
	// What is asked for and not done.
	UnsupportedProtocol = "UnsupportedProtocol"
)

// Build returns what is to be served of the Ingresses, and what is wrong with them at the time `now`. The oldest Ingress
// wins where two want the same.
func Build(rules Rules, objects Objects, ingresses []*networking.Ingress, now time.Time) (Model, []Problem) {
	b := newBuilder(rules, objects, now)
	for _, ingress := range ingresses {
		b.add(ingress)
	}
	return b.model()
}
