package model

import (
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"

	core "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	networking "k8s.io/api/networking/v1"
)

// target returns where a backend leads. One that is unknown answers 503, so that its path goes nowhere else.
func (b *builder) target(ingress *networking.Ingress, backend networking.IngressBackend) (Target, error) {
	none := Target{Status: 503}
	if backend.Service == nil {
		return none, fmt.Errorf("the backend is no Service")
	}
	key := Key{Namespace: ingress.Namespace, Name: backend.Service.Name}
	found, err := b.follow(key, backend.Service.Port)
	if err != nil {
		return none, err
	}
	if found.name != "" {
		return Target{Name: found.name}, nil
	}
	if protocol := found.port.AppProtocol; protocol != nil && !spoken[*protocol] {
		b.tell(ingress, UnsupportedProtocol, "Service %s: appProtocol %s is not supported; its port %d is asked in HTTP/1.1", found.service, *protocol, found.port.Port)
	}
	return b.upstream(found.service, found.port), nil
}

func findPort(service *core.Service, wanted networking.ServiceBackendPort) (core.ServicePort, bool) {
	for _, port := range service.Spec.Ports {
		if wanted.Name != "" && port.Name == wanted.Name || wanted.Name == "" && port.Port == wanted.Number {
			return port, true
		}
	}
	return core.ServicePort{}, false
}

func portName(port networking.ServiceBackendPort) string {
	if port.Name != "" {
		return port.Name
	}
	return strconv.Itoa(int(port.Number))
}

// upstream notes the endpoints of a Service's port; without one that serves, the answer is 503.
func (b *builder) upstream(service Key, port core.ServicePort) Target {
	name := fmt.Sprintf("%s_%s_%d", service.Namespace, service.Name, port.Port)
	if _, known := b.upstreams[name]; !known {
		b.upstreams[name] = endpoints(name, b.objects.Slices[service], port.Name)
	}
	if len(b.upstreams[name].Ready) == 0 {
		return Target{Status: 503}
	}
	return Target{Upstream: name}
}

// endpoints returns the addresses behind a port of a Service, by its name there.
//
// Those that are ready serve. Where none is, those serve that are on their way out and still serve: the rule of
// kube-proxy. Source: the Kubernetes documentation, EndpointSlices, conditions.
func endpoints(upstream string, of []*discovery.EndpointSlice, portName string) Upstream {
	ready, leaving, starting := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, slice := range of {
		port, found := slicePort(slice, portName)
		if !found || slice.AddressType == discovery.AddressTypeFQDN {
			continue
		}
		for _, endpoint := range slice.Endpoints {
			c := endpoint.Conditions
			// Unset conditions: ready and serving mean yes, terminating means no.
			terminating := c.Terminating != nil && *c.Terminating
			serving := c.Serving == nil || *c.Serving
			into := starting
			switch {
			case c.Ready == nil || *c.Ready:
				into = ready
			case terminating && serving:
				into = leaving
			case terminating:
				continue
			}
			for _, address := range endpoint.Addresses {
				into[net.JoinHostPort(address, port)] = true
			}
		}
	}
	if len(ready) == 0 {
		ready = leaving
	}
	// Two slices may tell of one endpoint while it moves from one to the other.
	maps.DeleteFunc(starting, func(address string, _ bool) bool { return ready[address] })
	return Upstream{Name: upstream, Ready: slices.Sorted(maps.Keys(ready)), Starting: slices.Sorted(maps.Keys(starting))}
}

func slicePort(slice *discovery.EndpointSlice, name string) (string, bool) {
	for _, port := range slice.Ports {
		tcp := port.Protocol == nil || *port.Protocol == core.ProtocolTCP
		if port.Port != nil && tcp && (port.Name == nil && name == "" || port.Name != nil && *port.Name == name) {
			return strconv.Itoa(int(*port.Port)), true
		}
	}
	return "", false
}
