// Package config writes nginx's configuration for a model. It is pure: equal models, equal text.
package config

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"text/template"

	"devenv.local/ingress/model"
)

// The ports of nginx; the Service maps 80 and 443 to them.
const (
	HTTPPort   = 8080
	HTTPSPort  = 8443
	StatusPort = 10246
)

// A connection to a client and one to a backend are a file each, and a body may be one too.
const (
	connections = 16384 // of a worker
	WantedFiles = 2 * connections
)

// Machine is what the configuration needs to know of where it runs. Its processes and files nginx is told when it starts.
type Machine struct {
	Controller         string
	Folder             string
	Resolvers          string
	DefaultCertificate string
}

// Config is a configuration, and the word by which nginx says that it is in effect.
type Config struct {
	Text       string
	Generation string
}

//go:embed nginx.conf.tmpl
var text string

var parsed = template.Must(template.New("nginx.conf").Parse(text))

type server struct {
	Listen      string
	Names       string
	Certificate string
	Locations   []location
}

// Render returns the configuration of a model.
func Render(machine Machine, m model.Model) Config {
	servers := make([]server, 0, 2*len(m.Hosts))
	for _, host := range m.Hosts {
		servers = append(servers, serversOf(host, machine.DefaultCertificate)...)
	}
	var out strings.Builder
	data := struct {
		Machine
		StatusPort  int
		Connections int
		Upstreams   []model.Upstream
		Servers     []server
	}{machine, StatusPort, connections, m.Upstreams, servers}
	if err := parsed.Execute(&out, data); err != nil {
		panic(err) // the template and its data are both ours
	}
	sum := sha256.Sum256([]byte(out.String()))
	generation := hex.EncodeToString(sum[:8])
	return Config{strings.Replace(out.String(), "GENERATION", generation, 1), generation}
}

// serversOf returns the two servers of a host: HTTP, and HTTPS with the host's certificate.
//
// A host without one names none: nginx then goes on with that of its default server. Naming it for
// each host would mean the same and be loaded as often.
func serversOf(host model.Host, certificate string) []server {
	options := ""
	if host.Name == "" {
		options = " default_server backlog=4096"
	} else {
		certificate = ""
	}
	plain := server{Listen: fmt.Sprintf("%d%s", HTTPPort, options), Names: names(host.Name), Locations: locations(host, false)}
	tls := server{Listen: fmt.Sprintf("%d ssl http2%s", HTTPSPort, options), Names: names(host.Name), Locations: locations(host, true)}
	tls.Certificate = certificate
	if host.Certificate != nil {
		tls.Certificate = host.Certificate.Name
	}
	return []server{plain, tls}
}

// names returns the server_name of a host. nginx's own wildcard takes any number of labels, the API's exactly one.
func names(host string) string {
	parent, wildcard := strings.CutPrefix(host, "*.")
	if !wildcard {
		return host
	}
	return quoted(`~^[^.]+\.` + strings.ReplaceAll(parent, ".", `\.`) + "$")
}

// Certificates returns a configuration that only loads certificates, to hear whether nginx takes them.
func Certificates(folder string, certificates []*model.Certificate) string {
	lines := []string{"error_log stderr;", "events {}", "http {", "access_log off;"}
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		lines = append(lines, fmt.Sprintf("%s_temp_path %s/none;", kind, folder))
	}
	for _, c := range certificates {
		file := fmt.Sprintf("%s/certificates/%s.pem", folder, c.Name)
		lines = append(lines, fmt.Sprintf("server { listen 127.0.0.1:%d ssl; server_name %s; ssl_certificate %s; ssl_certificate_key %s; }", StatusPort+1, c.Name, file, file))
	}
	return strings.Join(append(lines, "}", ""), "\n")
}

// Culprits returns the items that are to blame: without them, all others together are fine. Nothing at all must be fine.
// Each one is found in about log2(n) trials, the first of them in the order of the items.
func Culprits[T any](items []T, fine func([]T) bool) []T {
	var good, bad []T
	left := items
	for !fine(slices.Concat(good, left)) {
		low, high := 0, len(left) // left[:low] is fine, left[:high] is not
		for high-low > 1 {
			if middle := (low + high) / 2; fine(slices.Concat(good, left[:middle])) {
				low = middle
			} else {
				high = middle
			}
		}
		good = slices.Concat(good, left[:low])
		bad = append(bad, left[low])
		left = left[high:]
	}
	return bad
}

// Resolvers returns the servers that a resolv.conf names, in nginx's words, and the cluster's domain.
func Resolvers(text string) (servers, domain string) {
	var found []string
	domain = "cluster.local"
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		switch {
		case len(words) > 1 && words[0] == "nameserver":
			server := words[1]
			if strings.Contains(server, ":") {
				server = "[" + server + "]"
			}
			found = append(found, server)
		case len(words) > 1 && words[0] == "search":
			for _, name := range words[1:] {
				if cluster, inside := strings.CutPrefix(name, "svc."); inside {
					domain = cluster
				}
			}
		}
	}
	return strings.Join(found, " "), domain
}
