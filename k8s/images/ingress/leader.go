package main

import (
	"context"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// lead stands for election until the context ends: of several replicas the one that holds the Lease tells people. `changed`
// is called when it is this one. The channel is closed once the Lease is released, for the next to take it.
func (r *reports) lead(ctx context.Context, name string, changed func()) (released <-chan struct{}, err error) {
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock: &resourcelock.LeaseLock{
			LeaseMeta:  metav1.ObjectMeta{Namespace: r.service.Namespace, Name: r.service.Name},
			Client:     r.client.CoordinationV1(),
			LockConfig: resourcelock.ResourceLockConfig{Identity: name},
		},
		// Those of Kubernetes' own components.
		LeaseDuration: 15 * time.Second, RenewDeadline: 10 * time.Second, RetryPeriod: 2 * time.Second,
		ReleaseOnCancel: true,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(context.Context) {
				r.leads.Store(true)
				changed()
			},
			OnStoppedLeading: func() { r.leads.Store(false) },
		},
	})
	if err != nil {
		return nil, err
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		// One that could not renew it, because the API server was away, stands again.
		wait.UntilWithContext(ctx, elector.Run, time.Second)
	}()
	return done, nil
}
