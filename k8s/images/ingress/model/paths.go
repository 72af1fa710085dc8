package model

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	networking "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/validation"
)

// pathOf returns a path as it is matched: unescaped, and a prefix without slashes at its end, which the API ignores.
// ImplementationSpecific is taken as Prefix.
func pathOf(path networking.HTTPIngressPath) (Path, error) {
	text, err := url.PathUnescape(path.Path)
	if err != nil {
		return Path{}, err
	}
	if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return Path{}, errors.New("it has control characters")
	}
	exact := path.PathType != nil && *path.PathType == networking.PathTypeExact
	if !exact {
		text = "/" + strings.Trim(text, "/")
	}
	if !strings.HasPrefix(text, "/") {
		return Path{}, errors.New("it does not begin with a slash")
	}
	return Path{Path: text, Exact: exact}, nil
}

// Matches tells whether a request's path is of this path: equal to it or, for a prefix, equal to it element by element.
func (p Path) Matches(request string) bool {
	if p.Exact || request == p.Path {
		return request == p.Path
	}
	return strings.HasPrefix(request, strings.TrimSuffix(p.Path, "/")+"/")
}

// Route returns where a request goes: to the exact path, else to the longest prefix, else to the fallback.
func (h Host) Route(request string) Path {
	best := h.Fallback
	found := false
	for _, path := range h.Paths {
		if !path.Matches(request) {
			continue
		}
		if path.Exact {
			return path
		}
		if !found || len(path.Path) > len(best.Path) {
			best, found = path, true
		}
	}
	return best
}

// Route returns where a request goes: a precise host first, then a wildcard, then the rules without a host.
func (m Model) Route(host, path string) Path {
	_, parent, _ := strings.Cut(host, ".")
	for _, name := range []string{host, "*." + parent, ""} {
		for _, h := range m.Hosts {
			if h.Name == name {
				return h.Route(path)
			}
		}
	}
	return Path{Target: Target{Status: 404}}
}

// checkHost returns what is wrong with the host of a rule. The API server looks at most of it, not at labels' lengths.
func checkHost(host string) error {
	if host == "" {
		return nil
	}
	name := strings.TrimPrefix(host, "*.")
	faults := validation.IsDNS1123Subdomain(name)
	for label := range strings.SplitSeq(name, ".") {
		if len(label) > validation.DNS1123LabelMaxLength {
			faults = append(faults, fmt.Sprintf("the label %s… has more than %d characters", label[:8], validation.DNS1123LabelMaxLength))
		}
	}
	if len(faults) > 0 {
		return errors.New(strings.Join(faults, "; "))
	}
	return nil
}

// covers tells whether a name of a TLS section or a certificate is that of a host of a rule.
func covers(name, host string) bool {
	if name == host {
		return true
	}
	parent, wildcard := strings.CutPrefix(name, "*.")
	first, rest, _ := strings.Cut(host, ".")
	return wildcard && first != "" && first != "*" && rest == parent
}
