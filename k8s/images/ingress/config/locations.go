package config

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"devenv.local/ingress/model"
)

var unlimited = regexp.MustCompile(`^0+[kKmMgG]?$`)

type location struct {
	Match      string
	Directives []string
}

// locations returns the paths of a host in nginx's words.
//
// A prefix of the API takes whole elements: /foo takes /foo and /foo/bar, not /foobar. In nginx's words these are two:
// `= /foo` and `/foo/`. nginx itself chooses as the API does: equal first, then the longest prefix.
func locations(host model.Host, tls bool) []location {
	equal, below := map[string]model.Path{}, map[string]model.Path{"/": host.Fallback}
	for _, path := range host.Paths {
		switch {
		case path.Exact:
			equal[path.Path] = path
		case path.Path == "/":
			below["/"] = path
		default:
			below[path.Path+"/"] = path
		}
	}
	// Where only /foo/ is known, nginx would redirect /foo to it; the API knows no such thing.
	for _, known := range slices.Concat(slices.Collect(maps.Keys(equal)), slices.Collect(maps.Keys(below))) {
		if bare, slash := strings.CutSuffix(known, "/"); slash && bare != "" {
			equal[bare] = host.Route(bare)
		}
	}
	var found []location
	for _, path := range slices.Sorted(maps.Keys(equal)) {
		found = append(found, location{"= " + quoted(path), directives(equal[path], tls)})
	}
	for _, path := range slices.Sorted(maps.Keys(below)) {
		found = append(found, location{quoted(path), directives(below[path], tls)})
	}
	return found
}

func directives(path model.Path, tls bool) []string {
	var lines []string
	add := func(format, value string) {
		if value != "" {
			lines = append(lines, fmt.Sprintf(format, value))
		}
	}
	if path.Redirect && !tls {
		return []string{"return 308 https://$host$request_uri"}
	}
	if tls && path.Settings.HSTS != "" {
		add(`add_header Strict-Transport-Security %s always`, quoted(path.Settings.HSTS))
		lines = append(lines, "proxy_hide_header Strict-Transport-Security")
	}
	if path.Target.Status != 0 {
		return append(lines, fmt.Sprintf("return %d", path.Target.Status))
	}
	add("client_max_body_size %s", path.Settings.BodySize)
	if unlimited.MatchString(path.Settings.BodySize) {
		// A body without a limit would fill the disk: it is passed on while it comes.
		lines = append(lines, "proxy_request_buffering off")
	}
	add("proxy_read_timeout %s", path.Settings.ReadTimeout)
	add("proxy_send_timeout %s", path.Settings.SendTimeout)
	add("proxy_connect_timeout %s", path.Settings.ConnectTimeout)
	if path.Target.Name != "" {
		// A name in a variable is asked for when it is needed, and again when DNS says that it is old.
		return append(lines, "set $target "+quoted(path.Target.Name), "proxy_pass http://$target")
	}
	return append(lines, "proxy_pass http://"+path.Target.Upstream)
}

// quoted returns a text as one word of nginx's configuration.
func quoted(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
}
