package model

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"

	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
)

// The values of appProtocol that HTTP/1.1 answers to. Source: the Kubernetes documentation, Services, "Application
// protocol".
var spoken = map[string]bool{"": true, "http": true, "kubernetes.io/ws": true}

// Aliases of aliases end here; each one is checked.
const longestAlias = 8

// forbidden is a backend that is there and that nobody allowed.
type forbidden struct{ error }

// found is a port of a Service or, outside the cluster, a name for DNS.
type found struct {
	service Key
	port    core.ServicePort
	name    string
}

// follow returns what a Service and its port lead to, through its external name where it has one. A Service of this
// cluster is known better by its endpoints than by DNS: they say at once which pod is new, and which one leaves.
//
// Whoever may make Services could name anything that the ingress reaches: the address where a cloud keeps the node's
// credentials, or a Service of others whose policies let the ingress in. So an address is refused, and a name that leads
// out of the Service's namespace is followed only if an administrator allows it.
func (b *builder) follow(key Key, wanted networking.ServiceBackendPort) (found, error) {
	for range longestAlias {
		service, known := b.objects.Services[key]
		if !known {
			return found{}, fmt.Errorf("there is no Service %s", key)
		}
		port, named := findPort(service, wanted)
		if service.Spec.Type != core.ServiceTypeExternalName {
			if !named {
				return found{}, fmt.Errorf("Service %s has no port %s", key, portName(wanted))
			}
			return found{service: key, port: port}, nil
		}
		if named {
			wanted = networking.ServiceBackendPort{Number: port.Port}
		}
		if wanted.Number == 0 {
			return found{}, fmt.Errorf("Service %s has no port %s", key, portName(wanted))
		}
		name, err := externalName(service)
		if err != nil {
			return found{}, err
		}
		next, inside := b.inCluster(name)
		if (!inside || next.Namespace != key.Namespace) && !b.rules.allows(key) {
			return found{}, forbidden{fmt.Errorf("the external name of Service %s leads out of its namespace: an administrator allows it with the controller's argument --allow-external-name=%s", key, key)}
		}
		if !inside {
			return found{name: net.JoinHostPort(name, strconv.Itoa(int(wanted.Number)))}, nil
		}
		key = next
	}
	return found{}, fmt.Errorf("the external names go round in a circle at Service %s", key)
}

// allows tells whether an external name of this Service may lead anywhere.
func (r Rules) allows(service Key) bool {
	for _, allowed := range r.ExternalNames {
		if allowed == "*" || allowed == service.Namespace+"/*" || allowed == service.String() {
			return true
		}
	}
	return false
}

// inCluster returns the Service that a name means: NAME.NAMESPACE.svc, with the cluster's domain or without it.
func (b *builder) inCluster(name string) (Key, bool) {
	labels := strings.Split(strings.TrimSuffix(name, "."+b.rules.ClusterDomain), ".")
	if len(labels) != 3 || labels[2] != "svc" {
		return Key{}, false
	}
	return Key{Namespace: labels[1], Name: labels[0]}, true
}

// A resolver may take numbers as the parts of an address, however many: no domain of the internet ends in one. Source:
// RFC 3696, section 2.
var number = regexp.MustCompile(`^([0-9]+|0x[0-9a-f]*)$`)

// externalName returns the name without the dot at its end. An address is none.
func externalName(service *core.Service) (string, error) {
	name := strings.ToLower(strings.TrimSuffix(service.Spec.ExternalName, "."))
	key := Key{Namespace: service.Namespace, Name: service.Name}
	_, notAddress := netip.ParseAddr(name)
	if notAddress == nil || number.MatchString(name[strings.LastIndex(name, ".")+1:]) {
		return "", forbidden{fmt.Errorf("the external name of Service %s is an address: only names are followed", key)}
	}
	if err := checkHost(name); err != nil || name == "" || strings.HasPrefix(name, "*") {
		return "", fmt.Errorf("Service %s has no valid external name", key)
	}
	return name, nil
}

// reasonOf returns the reason that an Event gives for a backend that is answered with 503.
func reasonOf(err error) string {
	if errors.As(err, new(forbidden)) {
		return ForbiddenBackend
	}
	return UnknownBackend
}
