package main

import (
	"context"
	"errors"
	"time"

	core "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/tools/cache"

	"devenv.local/ingress/model"
)

// watch keeps what the API server has of the kinds that matter, and says when something of it changed.
type watch struct {
	all     informers.SharedInformerFactory
	tls     informers.SharedInformerFactory
	heads   metadata.Interface
	changed chan struct{}
	asked   map[model.Key]asked
}

// asked is what the API server said of a Secret that is no certificate.
type asked struct {
	at    time.Time
	other bool
}

// Secrets of other types than kubernetes.io/tls are never asked for: the API server leaves them out.
func newWatch(client kubernetes.Interface, heads metadata.Interface) *watch {
	tls := func(options *metav1.ListOptions) { options.FieldSelector = "type=" + string(core.SecretTypeTLS) }
	small := informers.WithTransform(withoutManagedFields)
	return &watch{
		all:     informers.NewSharedInformerFactoryWithOptions(client, 0, small),
		tls:     informers.NewSharedInformerFactoryWithOptions(client, 0, small, informers.WithTweakListOptions(tls)),
		heads:   heads,
		changed: make(chan struct{}, 1),
		asked:   map[model.Key]asked{},
	}
}

func withoutManagedFields(object any) (any, error) {
	if accessor, err := meta.Accessor(object); err == nil {
		accessor.SetManagedFields(nil)
	}
	return object, nil
}

// start returns once everything has been read for the first time.
func (w *watch) start(ctx context.Context) error {
	handler := cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { w.notify() },
		UpdateFunc: func(any, any) { w.notify() },
		DeleteFunc: func(any) { w.notify() },
	}
	for _, informer := range []cache.SharedIndexInformer{
		w.all.Networking().V1().IngressClasses().Informer(),
		w.all.Networking().V1().Ingresses().Informer(),
		w.all.Core().V1().Services().Informer(),
		w.all.Discovery().V1().EndpointSlices().Informer(),
		w.tls.Core().V1().Secrets().Informer(),
	} {
		if _, err := informer.AddEventHandler(handler); err != nil {
			return err
		}
	}
	for _, factory := range []informers.SharedInformerFactory{w.all, w.tls} {
		factory.Start(ctx.Done())
		factory.WaitForCacheSync(ctx.Done())
	}
	if ctx.Err() != nil {
		return errors.New("ended before the API server had told everything")
	}
	return nil
}

// notify wakes the controller; many changes wake it once.
func (w *watch) notify() {
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

// objects returns what the API server has, but for certificates.
func (w *watch) objects() model.Objects {
	everything := labels.Everything()
	// Listing from memory does not fail.
	classes, _ := w.all.Networking().V1().IngressClasses().Lister().List(everything)
	ingresses, _ := w.all.Networking().V1().Ingresses().Lister().List(everything)
	services, _ := w.all.Core().V1().Services().Lister().List(everything)
	slices, _ := w.all.Discovery().V1().EndpointSlices().Lister().List(everything)
	objects := model.Objects{
		Classes: classes, Ingresses: ingresses,
		Services: map[model.Key]*core.Service{}, Slices: map[model.Key][]*discovery.EndpointSlice{},
	}
	for _, service := range services {
		objects.Services[model.Key{Namespace: service.Namespace, Name: service.Name}] = service
	}
	for _, slice := range slices {
		key := model.Key{Namespace: slice.Namespace, Name: slice.Labels[discovery.LabelServiceName]}
		objects.Slices[key] = append(objects.Slices[key], slice)
	}
	return objects
}

func (w *watch) secrets(named map[model.Key]bool) map[model.Key]*core.Secret {
	found := map[model.Key]*core.Secret{}
	for key := range named {
		if secret, err := w.tls.Core().V1().Secrets().Lister().Secrets(key.Namespace).Get(key.Name); err == nil {
			found[key] = secret
		}
	}
	return found
}

// otherType tells whether a Secret is there that is no kubernetes.io/tls, as it was within the last seconds. Its metadata
// is asked for, never its data.
func (w *watch) otherType(ctx context.Context, key model.Key) bool {
	if last := w.asked[key]; time.Since(last.at) < lookAgain/2 {
		return last.other
	}
	ctx, stop := context.WithTimeout(ctx, askWithin)
	defer stop()
	selector := "metadata.name=" + key.Name + ",type!=" + string(core.SecretTypeTLS)
	secrets := core.SchemeGroupVersion.WithResource("secrets")
	list, err := w.heads.Resource(secrets).Namespace(key.Namespace).List(ctx, metav1.ListOptions{FieldSelector: selector})
	// Where the API server does not answer, "there is none" is what we know.
	w.asked[key] = asked{time.Now(), err == nil && len(list.Items) > 0}
	return w.asked[key].other
}
