package main

import "testing"

func TestTheWordsOfNginxAreWhyItRefuses(t *testing.T) {
	for said, want := range map[string]string{
		"": "",
		"2026/01/01 00:00:00 [emerg] 7#7: unknown directive \"x\" in /f:1\n":                   `unknown directive "x" in /f:1`,
		"2026/01/01 00:00:00 [warn] 7#7: a: b\n2026/01/01 00:00:00 [emerg] 7#7: cannot load\n": "cannot load",
		"2026/01/01 00:00:00 [emerg] 7#7: a: b: c\nnginx: configuration file /f test failed\n": "a: b: c",
		" a word without a level \n": "a word without a level",
	} {
		if got := lastWords(said); got != want {
			t.Errorf("%q: %q, not %q", said, got, want)
		}
	}
}
