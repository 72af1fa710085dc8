package main

import (
	"errors"
	"slices"
	"testing"
)

// Every set of up to five items, each one good or bad, and every number of answers after which nginx cannot be asked any more.
func TestNobodyIsBlamedWhereNginxCouldNotBeAsked(t *testing.T) {
	away := errors.New("no connection")
	for size := range 6 {
		for bad := range 1 << size {
			var items []int
			for n := range size {
				items = append(items, n)
			}
			isBad := func(n int) bool { return bad&(1<<n) != 0 }
			for answers := range 3 * size * size {
				asked := 0
				found, err := culprits(items, func(some []int) error {
					asked++
					switch {
					case asked > answers:
						return away
					case slices.ContainsFunc(some, isBad):
						return refused{"bad"}
					}
					return nil
				})
				if asked > answers != errors.Is(err, away) || asked > answers+1 {
					t.Fatalf("%d items, bad %b, %d answers: %v after %d questions", size, bad, answers, err, asked)
				}
				if err == nil && !slices.Equal(found, slices.DeleteFunc(slices.Clone(items), func(n int) bool { return !isBad(n) })) {
					t.Fatalf("%d items, bad %b: %v", size, bad, found)
				}
			}
		}
	}
}
