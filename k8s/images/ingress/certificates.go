package main

import (
	"context"
	"errors"
	"maps"
	"slices"

	networking "k8s.io/api/networking/v1"

	"devenv.local/ingress/config"
	"devenv.local/ingress/model"
)

// renewShelf takes the certificates that are new, once nginx has said that it takes them.
func (c *controller) renewShelf(ctx context.Context, all []*networking.Ingress) error {
	named := model.Named(all)
	secrets := c.watch.secrets(named)
	otherType := map[model.Key]bool{}
	for key := range named {
		if secrets[key] == nil {
			otherType[key] = c.watch.otherType(ctx, key)
		}
	}
	next := c.shelf.Next(named, secrets, c.refused, otherType)
	if err := c.prove(ctx, next.Certificates()); err != nil {
		return err
	}
	c.shelf = c.shelf.Next(named, secrets, c.refused, otherType)
	// What is remembered of Secrets and certificates that nobody names any more would only grow.
	used := c.shelf.Certificates()
	maps.DeleteFunc(c.proven, func(name string, _ bool) bool { return used[name] == nil })
	maps.DeleteFunc(c.watch.asked, func(key model.Key, _ asked) bool { return !named[key] })
	return nil
}

func (c *controller) prove(ctx context.Context, certificates map[string]*model.Certificate) error {
	if err := c.nginx.write(certificates); err != nil {
		return err
	}
	maps.DeleteFunc(certificates, func(name string, _ *model.Certificate) bool { return c.proven[name] })
	fresh := slices.Collect(maps.Values(certificates))
	test := func(some []*model.Certificate) error {
		if len(some) == 0 {
			return nil
		}
		return c.nginx.test(ctx, config.Certificates(c.machine.Folder, some))
	}
	bad, err := culprits(fresh, test)
	if err != nil {
		return err
	}
	for _, certificate := range bad {
		err := test([]*model.Certificate{certificate})
		if !errors.As(err, new(refused)) {
			return err
		}
		c.metrics.refused.Inc()
		c.refused[certificate.Name] = err.Error()
	}
	for _, certificate := range fresh {
		c.proven[certificate.Name] = c.refused[certificate.Name] == ""
	}
	return nil
}

func (c *controller) certificates() map[string]*model.Certificate {
	used := c.shelf.Certificates()
	used[c.own.Name] = c.own
	return used
}
