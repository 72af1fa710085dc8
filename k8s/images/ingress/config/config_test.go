package config

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"devenv.local/ingress/model"
)

var machine = Machine{Controller: "c", Folder: "/run/ingress", Resolvers: "10.96.0.10", DefaultCertificate: "own"}

func to(path, upstream string, exact bool) model.Path {
	return model.Path{Path: path, Exact: exact, Target: model.Target{Upstream: upstream}}
}

func host(paths ...model.Path) model.Host {
	return model.Host{Name: "foo.com", Paths: paths, Fallback: model.Path{Target: model.Target{Status: 404}}}
}

// choose is nginx's own choice among locations. Source: nginx, the directive `location`; the redirect of a path whose
// location has a slash more is that of proxy_pass.
func choose(locations []location, request string) string {
	best, length := "", -1
	for _, l := range locations {
		pass := l.Directives[len(l.Directives)-1]
		path, equal := strings.CutPrefix(l.Match, "= ")
		path = strings.Trim(path, `"`)
		if equal && path == request {
			return pass
		}
		if !equal && strings.HasPrefix(request, path) && len(path) > length {
			best, length = pass, len(path)
		}
	}
	for _, l := range locations {
		if strings.Trim(strings.TrimPrefix(l.Match, "= "), `"`) == request+"/" && strings.HasPrefix(l.Directives[len(l.Directives)-1], "proxy_pass") {
			return "redirect to " + request + "/"
		}
	}
	return best
}

// Every set of up to three paths over a small alphabet, and every request: nginx goes where the model says.
func TestTheLocationsChooseAsTheModelDoes(t *testing.T) {
	var all []model.Path
	for _, exact := range []bool{true, false} {
		for _, path := range []string{"/", "/a", "/a/", "/ab", "/a/b", "/a/b/"} {
			if exact || path == "/" || !strings.HasSuffix(path, "/") {
				all = append(all, to(path, fmt.Sprintf("u%d", len(all)), exact))
			}
		}
	}
	requests := []string{"/", "/a", "/a/", "/ab", "/ab/", "/a/b", "/a/b/", "/a/b/c", "/abc", "/b"}
	cases := 0
	for x := range all {
		for y := x; y < len(all); y++ {
			for z := y; z < len(all); z++ {
				h := host(slices.Compact([]model.Path{all[x], all[y], all[z]})...)
				chosen := locations(h, false)
				for _, request := range requests {
					want := directives(h.Route(request), false)
					if got := choose(chosen, request); got != want[len(want)-1] {
						t.Fatalf("%v: %s goes to %q, not to %q", h.Paths, request, got, want)
					}
					cases++
				}
			}
		}
	}
	if cases < 1000 {
		t.Error(cases)
	}
}

func render(hosts ...model.Host) string {
	catchAll := model.Host{Fallback: model.Path{Target: model.Target{Status: 404}}}
	return Render(machine, model.Model{Hosts: append([]model.Host{catchAll}, hosts...)}).Text
}

func TestEqualModelsAreEqualTextAndOthersAreNot(t *testing.T) {
	if render(host(to("/", "a", false))) != render(host(to("/", "a", false))) {
		t.Error("equal models differ")
	}
	one := Render(machine, model.Model{Hosts: []model.Host{host(to("/", "a", false))}})
	two := Render(machine, model.Model{Hosts: []model.Host{host(to("/", "b", false))}})
	if one.Generation == two.Generation || !strings.Contains(one.Text, `return 200 "`+one.Generation+`"`) {
		t.Error(one.Generation, two.Generation)
	}
}

func TestAPathIsOneWordWhateverIsInIt(t *testing.T) {
	text := render(host(to(`/a"; } b \`, "u", true)))
	if !strings.Contains(text, `location = "/a\"; } b \\" {`) {
		t.Error(text)
	}
}

func TestAWildcardIsOneLabelForNginxToo(t *testing.T) {
	wild := host(to("/", "u", false))
	wild.Name = "*.foo.com"
	if !strings.Contains(render(wild), `server_name "~^[^.]+\\.foo\\.com$";`) {
		t.Error(render(wild))
	}
}

func TestSettingsStandInTheirLocation(t *testing.T) {
	path := to("/", "u", false)
	path.Settings = model.Settings{BodySize: "32m", ReadTimeout: "1s", SendTimeout: "2s", ConnectTimeout: "3s", HSTS: "max-age=1"}
	want := []string{
		`add_header Strict-Transport-Security "max-age=1" always`, "proxy_hide_header Strict-Transport-Security",
		"client_max_body_size 32m", "proxy_read_timeout 1s", "proxy_send_timeout 2s", "proxy_connect_timeout 3s",
		"proxy_pass http://u",
	}
	if got := directives(path, true); !slices.Equal(got, want) {
		t.Error(got)
	}
	if got := directives(path, false); !slices.Equal(got, want[2:]) {
		t.Error(got)
	}
}

func TestHTTPLeadsToHTTPSWhereItShould(t *testing.T) {
	path := to("/", "u", false)
	path.Redirect = true
	if got := directives(path, false); !slices.Equal(got, []string{"return 308 https://$host$request_uri"}) {
		t.Error(got)
	}
	if got := directives(path, true); !slices.Equal(got, []string{"proxy_pass http://u"}) {
		t.Error(got)
	}
}

func TestAnEndpointThatStartsIsTheLastResort(t *testing.T) {
	m := model.Model{Upstreams: []model.Upstream{{Name: "u", Ready: []string{"1.1.1.1:80"}, Starting: []string{"2.2.2.2:80"}}}}
	text := Render(machine, m).Text
	if !strings.Contains(text, "server 1.1.1.1:80 max_fails=0;") || !strings.Contains(text, "server 2.2.2.2:80 max_fails=0 backup;") {
		t.Error(text)
	}
}

func TestOnlyTLSOfToday(t *testing.T) {
	if !strings.Contains(render(), "ssl_protocols TLSv1.2 TLSv1.3;") || !strings.Contains(render(), "server_tokens off;") {
		t.Error(render())
	}
}

// Every set of up to six items, each one good or bad.
func TestCulpritsAreExactlyTheBadOnes(t *testing.T) {
	for size := range 7 {
		for bad := range 1 << size {
			var items, want []int
			for n := range size {
				items = append(items, n)
				if bad&(1<<n) != 0 {
					want = append(want, n)
				}
			}
			fine := func(some []int) bool {
				return !slices.ContainsFunc(some, func(n int) bool { return bad&(1<<n) != 0 })
			}
			if got := Culprits(items, fine); !slices.Equal(got, want) {
				t.Errorf("%d items: %v, not %v", size, got, want)
			}
		}
	}
}

// Of two that are bad together, the one that comes later in the order, which is the younger, is to blame.
func TestOfTwoThatAreBadTogetherTheLaterIsTheCulprit(t *testing.T) {
	fine := func(some []int) bool {
		has := func(n int) bool { return slices.Contains(some, n) }
		return !(has(0) && has(2) || has(1) && has(3))
	}
	if got := Culprits([]int{0, 1, 2, 3, 4}, fine); !slices.Equal(got, []int{2, 3}) {
		t.Error(got)
	}
}

func TestFindingOneCulpritOfTwoHundredTakesFewTrials(t *testing.T) {
	items, trials := make([]int, 200), 0
	for n := range items {
		items[n] = n
	}
	got := Culprits(items, func(some []int) bool {
		trials++
		return !slices.Contains(some, 123)
	})
	if !slices.Equal(got, []int{123}) || trials > 12 {
		t.Error(got, trials)
	}
}

func TestResolversAndTheClustersDomainAreThoseOfThePod(t *testing.T) {
	servers, domain := Resolvers("search shop.svc.k8s.test svc.k8s.test k8s.test\nnameserver 10.96.0.10\nnameserver fd00::a\n")
	if servers != "10.96.0.10 [fd00::a]" || domain != "k8s.test" {
		t.Error(servers, domain)
	}
}

func TestAWorkerWantsTwoFilesForEachConnection(t *testing.T) {
	if WantedFiles < 2*connections {
		t.Error("a connection to a client and one to its backend are two files")
	}
}

func TestNoBodyWithoutALimitIsWrittenToDisk(t *testing.T) {
	const passedOn = "proxy_request_buffering off;"
	for size, streams := range map[string]bool{"0": true, "0m": true, "00": true, "": false, "1": false, "32m": false, "10g": false} {
		path := to("/", "u", false)
		path.Settings.BodySize = size
		if text := render(host(path)); strings.Contains(text, passedOn) != streams {
			t.Errorf("%q: %s", size, text)
		}
	}
	if !strings.Contains(render(), "proxy_max_temp_file_size 0;") {
		t.Error("answers may fill the disk")
	}
}
