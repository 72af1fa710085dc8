package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	networking "k8s.io/api/networking/v1"

	"devenv.local/ingress/config"
	"devenv.local/ingress/model"
)

// culprit is an Ingress that nginx refuses: as it was, and nginx's words.
type culprit struct{ generation, says string }

// tested returns what is wanted once nginx takes it: where it refuses all together, without those who are to blame.
func (c *controller) tested(ctx context.Context, want wanted) (wanted, error) {
	err := c.nginx.test(ctx, want.config.Text)
	if !errors.As(err, new(refused)) {
		return want, err
	}
	c.metrics.refused.Inc()
	slog.Error("nginx refuses the configuration; looking for the Ingress to blame", "says", err)
	objects := c.watch.objects()
	objects.Certificates = c.shelf
	test := func(some []*networking.Ingress) error {
		built, _ := model.Build(c.rules, objects, some, time.Now())
		return c.nginx.test(ctx, config.Render(c.machine, built).Text)
	}
	if err := test(nil); err != nil {
		return want, err // no Ingress is to blame
	}
	bad, failed := culprits(model.Claimed(c.rules, objects), test)
	if failed != nil {
		return want, failed
	}
	for _, ingress := range bad {
		says := err.Error()
		if own := test([]*networking.Ingress{ingress}); errors.As(own, new(refused)) {
			says = own.Error()
		}
		c.culprits[ingress.UID] = culprit{c.alone(objects, ingress), says}
	}
	want = c.build(objects, model.Claimed(c.rules, objects))
	return want, c.nginx.test(ctx, want.config.Text)
}

// culprits returns the items because of which nginx refuses what they make together, or why it could not be asked.
func culprits[T any](items []T, test func([]T) error) (bad []T, failed error) {
	bad = config.Culprits(items, func(some []T) bool {
		if failed != nil {
			return true // the search ends
		}
		err := test(some)
		no := errors.As(err, new(refused))
		if !no {
			failed = err
		}
		return !no
	})
	return bad, failed
}
