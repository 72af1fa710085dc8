package main

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"syscall"
	"time"

	networking "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/types"

	"devenv.local/ingress/config"
	"devenv.local/ingress/model"
)

const (
	betweenReloads = time.Second
	settle         = 20 * time.Millisecond // one act of a person is often several objects
	lookAgain      = 30 * time.Second      // certificates expire, and Secrets of another type come, without a change we see
	betweenChecks  = time.Second           // of what nginx serves: its container may have started again
)

// controller brings nginx to what the API server has, and tells people what is wrong with it.
type controller struct {
	rules   model.Rules
	machine config.Machine
	own     *model.Certificate
	watch   *watch
	nginx   *nginx
	reports *reports
	metrics *metrics

	shelf      model.Shelf
	proven     map[string]bool   // certificates that nginx takes, by name
	refused    map[string]string // and those that it does not, with its words
	culprits   map[types.UID]culprit
	current    string // the generation that nginx serves, as it was when we looked
	lastReload time.Time
	inEffect   atomic.Bool // whether that is what was wanted once
}

// wanted is what a look at the API server came to.
type wanted struct {
	ingresses []*networking.Ingress // all that are ours
	config    config.Config
	problems  []model.Problem
}

// run serves until the context ends.
func (c *controller) run(ctx context.Context) {
	// The container of nginx starts at the same time.
	for _, err := c.nginx.generation(ctx); err != nil && ctx.Err() == nil; _, err = c.nginx.generation(ctx) {
		pause(ctx, settle)
	}
	for ctx.Err() == nil {
		if err := c.sync(ctx); err != nil && ctx.Err() == nil {
			slog.Error("trying again in a second", "error", err)
			pause(ctx, time.Second)
			continue
		}
		c.rest(ctx)
	}
}

// rest returns once there may be something to do.
func (c *controller) rest(ctx context.Context) {
	again := time.After(lookAgain)
	check := time.NewTicker(betweenChecks)
	defer check.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-again:
			return
		case <-c.watch.changed:
			pause(ctx, settle)
			return
		case <-check.C:
			if c.compare(ctx); !c.inEffect.Load() {
				return
			}
		}
	}
}

// compare sees whether nginx still serves what it took. One that is only slow to say so is believed to.
func (c *controller) compare(ctx context.Context) error {
	serves, err := c.nginx.generation(ctx)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED): // its container has ended
		c.inEffect.Store(false)
	case err == nil && serves != c.current: // it, or we ourselves, started again
		c.inEffect.Store(false)
		c.current = serves
	}
	return err
}

// sync brings nginx up to date once. What leaves the configuration as it is needs no reload.
func (c *controller) sync(ctx context.Context) error {
	if err := c.compare(ctx); err != nil {
		return err
	}
	want, err := c.look(ctx)
	if err != nil {
		return err
	}
	if left := betweenReloads - time.Since(c.lastReload); want.config.Generation != c.current && left > 0 {
		pause(ctx, left)
		if want, err = c.look(ctx); err != nil {
			return err
		}
	}
	if want.config.Generation != c.current {
		if want, err = c.tested(ctx, want); err != nil {
			return err
		}
	}
	if want.config.Generation != c.current {
		if err := c.reload(ctx, want.config); err != nil {
			return err
		}
	}
	c.inEffect.Store(true)
	c.metrics.ingresses.Set(float64(len(want.ingresses)))
	c.metrics.problems.Set(float64(len(want.problems)))
	c.reports.tell(want.problems)
	return c.reports.addresses(ctx, want.ingresses, c.watch)
}

func (c *controller) reload(ctx context.Context, next config.Config) error {
	began := time.Now()
	c.lastReload = began
	if err := c.nginx.use(ctx, next); err != nil {
		c.metrics.reloads.WithLabelValues("failed").Inc()
		return err
	}
	c.current = next.Generation
	c.metrics.reloads.WithLabelValues("done").Inc()
	c.metrics.reloadSeconds.Observe(time.Since(began).Seconds())
	c.nginx.forget(c.certificates())
	slog.Info("configuration in effect", "generation", next.Generation, "after", time.Since(began))
	return nil
}

// look returns what is wanted now, without the Ingresses that nginx is known to refuse.
func (c *controller) look(ctx context.Context) (wanted, error) {
	objects := c.watch.objects()
	all := model.Claimed(c.rules, objects)
	if err := c.renewShelf(ctx, all); err != nil {
		return wanted{}, err
	}
	objects.Certificates = c.shelf
	return c.build(objects, all), nil
}

// build leaves known culprits out as long as they are what they were when nginx refused them.
func (c *controller) build(objects model.Objects, all []*networking.Ingress) wanted {
	var left []*networking.Ingress
	var problems []model.Problem
	known := map[types.UID]culprit{}
	for _, ingress := range all {
		was, bad := c.culprits[ingress.UID]
		if bad && was.generation == c.alone(objects, ingress) {
			known[ingress.UID] = was
			problems = append(problems, model.Problem{
				Kind: "Ingress", Object: model.Key{Namespace: ingress.Namespace, Name: ingress.Name}, UID: ingress.UID,
				Reason: model.Refused, Message: "nginx refuses its configuration, it is not served: " + was.says,
			})
			continue
		}
		left = append(left, ingress)
	}
	c.culprits = known
	built, more := model.Build(c.rules, objects, left, time.Now())
	return wanted{all, config.Render(c.machine, built), append(problems, more...)}
}

// alone names the content of what one Ingress asks for.
func (c *controller) alone(objects model.Objects, ingress *networking.Ingress) string {
	built, _ := model.Build(c.rules, objects, []*networking.Ingress{ingress}, time.Time{})
	return config.Render(c.machine, built).Generation
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
