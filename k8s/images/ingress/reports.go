package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	corev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/record"

	"devenv.local/ingress/model"
)

// An Event is kept for an hour: a problem that lasts is told again before.
const tellAgain = 30 * time.Minute

// Writing where hundreds of Ingresses are served must not keep the next change of one of them waiting.
const writtenAtOnce = 10

// reports tells people: Events for what is wrong, the status of Ingresses for where they are served. Of several replicas one
// does.
type reports struct {
	client   kubernetes.Interface
	recorder record.EventRecorder
	service  model.Key // whose address is that of the Ingresses
	leads    atomic.Bool
	told     map[model.Problem]time.Time
}

func newReports(ctx context.Context, client kubernetes.Interface, service model.Key) *reports {
	broadcaster := record.NewBroadcaster(record.WithContext(ctx))
	broadcaster.StartRecordingToSink(&corev1.EventSinkImpl{Interface: client.CoreV1().Events("")})
	recorder := broadcaster.NewRecorder(scheme.Scheme, core.EventSource{Component: "ingress-nginx-controller"})
	return &reports{client: client, recorder: recorder, service: service}
}

// tell makes an Event of each problem that is new, and of an old one now and then.
func (r *reports) tell(problems []model.Problem) {
	now := map[model.Problem]time.Time{}
	for _, p := range problems {
		now[p] = r.told[p]
		if !r.leads.Load() || time.Since(now[p]) < tellAgain {
			continue
		}
		version := core.SchemeGroupVersion.String()
		if p.Kind == "Ingress" {
			version = networking.SchemeGroupVersion.String()
		}
		object := &core.ObjectReference{
			APIVersion: version, Kind: p.Kind, Namespace: p.Object.Namespace, Name: p.Object.Name, UID: p.UID,
		}
		r.recorder.Event(object, core.EventTypeWarning, p.Reason, p.Message)
		slog.Warn(p.Message, "object", p.Kind+" "+p.Object.String(), "reason", p.Reason)
		now[p] = time.Now()
	}
	r.told = now
}

// addresses writes where the Ingresses are served: the address of our own Service, none while it has none.
func (r *reports) addresses(ctx context.Context, ingresses []*networking.Ingress, w *watch) error {
	if !r.leads.Load() {
		return nil
	}
	service, err := w.all.Core().V1().Services().Lister().Services(r.service.Namespace).Get(r.service.Name)
	if err != nil {
		return nil // no Service, no address to tell
	}
	wanted := addressesOf(service)
	same := func(a, b networking.IngressLoadBalancerIngress) bool { return a.IP == b.IP && a.Hostname == b.Hostname }
	var failed []error
	written := 0
	for _, ingress := range ingresses {
		if slices.EqualFunc(ingress.Status.LoadBalancer.Ingress, wanted, same) {
			continue
		}
		if written == writtenAtOnce {
			w.notify()
			break
		}
		written++
		if err := r.patch(ctx, ingress, wanted); err != nil && !apierrors.IsNotFound(err) {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

func addressesOf(service *core.Service) []networking.IngressLoadBalancerIngress {
	var found []networking.IngressLoadBalancerIngress
	for _, at := range service.Status.LoadBalancer.Ingress {
		found = append(found, networking.IngressLoadBalancerIngress{IP: at.IP, Hostname: at.Hostname})
	}
	return found
}

func (r *reports) patch(ctx context.Context, ingress *networking.Ingress, at []networking.IngressLoadBalancerIngress) error {
	status := map[string]any{"status": map[string]any{"loadBalancer": map[string]any{"ingress": at}}}
	body, err := json.Marshal(status)
	if err != nil {
		return err
	}
	ctx, stop := context.WithTimeout(ctx, askWithin)
	defer stop()
	_, err = r.client.NetworkingV1().Ingresses(ingress.Namespace).Patch(
		ctx, ingress.Name, types.MergePatchType, body, metav1.PatchOptions{}, "status",
	)
	return err
}
