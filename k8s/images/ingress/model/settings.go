package model

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Settings are what annotations change; an empty field is nginx's own default.
type Settings struct {
	BodySize       string
	ReadTimeout    string
	SendTimeout    string
	ConnectTimeout string
	HSTS           string
	NoRedirect     bool
}

const (
	known = "nginx.ingress.kubernetes.io/" // names as people know them
	own   = "ingress.devenv.local/"
)

var (
	size    = regexp.MustCompile(`^[0-9]{1,9}[kKmMgG]?$`)
	seconds = regexp.MustCompile(`^[0-9]{1,6}s?$`)
	// Source: RFC 6797, section 6.1.
	hsts = regexp.MustCompile(`^max-age=[0-9]{1,10}(; includeSubDomains)?(; preload)?$`)
)

// nginx cannot wait longer for a connection.
const longestConnectTimeoutS = 75

// settingsOf reads the annotations. Each one that is wrong is told of and left out.
func settingsOf(annotations map[string]string) (Settings, []string, []string) {
	var s Settings
	var wrong, unknown []string
	for _, name := range slices.Sorted(maps.Keys(annotations)) {
		value := strings.TrimSpace(annotations[name])
		ok := true
		switch name {
		case known + "proxy-body-size":
			ok = set(&s.BodySize, value, size.MatchString(value))
		case known + "proxy-read-timeout":
			ok = set(&s.ReadTimeout, inSeconds(value), seconds.MatchString(value))
		case known + "proxy-send-timeout":
			ok = set(&s.SendTimeout, inSeconds(value), seconds.MatchString(value))
		case known + "proxy-connect-timeout":
			n, err := strconv.Atoi(strings.TrimSuffix(value, "s"))
			ok = set(&s.ConnectTimeout, inSeconds(value), err == nil && seconds.MatchString(value) && n >= 1 && n <= longestConnectTimeoutS)
		case known + "ssl-redirect":
			on, err := strconv.ParseBool(value)
			ok, s.NoRedirect = err == nil, err == nil && !on
		case own + "hsts":
			ok = set(&s.HSTS, value, hsts.MatchString(value))
		default:
			// What another controller would do for it, such as asking for a password, does not happen here.
			if strings.HasPrefix(name, known) || strings.HasPrefix(name, own) {
				unknown = append(unknown, name)
			}
			continue
		}
		if !ok {
			wrong = append(wrong, fmt.Sprintf("%s: %q", name, annotations[name]))
		}
	}
	return s, wrong, unknown
}

func set(field *string, value string, ok bool) bool {
	if ok {
		*field = value
	}
	return ok
}

func inSeconds(value string) string { return strings.TrimSuffix(value, "s") + "s" }
