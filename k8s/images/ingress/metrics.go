package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics are what the controller counts, and what nginx counts of its connections.
type metrics struct {
	registry      *prometheus.Registry
	reloads       *prometheus.CounterVec
	reloadSeconds prometheus.Histogram
	refused       prometheus.Counter
	ingresses     prometheus.Gauge
	problems      prometheus.Gauge
}

func newMetrics(n *nginx) *metrics {
	m := &metrics{
		registry:      prometheus.NewRegistry(),
		reloads:       prometheus.NewCounterVec(prometheus.CounterOpts{Name: "ingress_reloads_total", Help: "Reloads of nginx, by how they ended."}, []string{"result"}),
		reloadSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "ingress_reload_seconds", Help: "From the signal until the new configuration was in effect.", Buckets: prometheus.ExponentialBuckets(0.01, 2, 10)}),
		refused:       prometheus.NewCounter(prometheus.CounterOpts{Name: "ingress_refused_configurations_total", Help: "Configurations and certificates that nginx refused."}),
		ingresses:     prometheus.NewGauge(prometheus.GaugeOpts{Name: "ingress_ingresses", Help: "Ingresses of our classes."}),
		problems:      prometheus.NewGauge(prometheus.GaugeOpts{Name: "ingress_problems", Help: "What is wrong with them, as told in Events."}),
	}
	m.registry.MustRegister(m.reloads, m.reloadSeconds, m.refused, m.ingresses, m.problems, connections{n})
	return m
}

// connections reads nginx's own count when it is asked for.
type connections struct{ nginx *nginx }

var (
	stateOf    = prometheus.NewDesc("ingress_nginx_connections", "Open connections of clients, by state.", []string{"state"}, nil)
	totalOf    = prometheus.NewDesc("ingress_nginx_connections_total", "Connections of clients since nginx started.", []string{"result"}, nil)
	requestsOf = prometheus.NewDesc("ingress_nginx_requests_total", "Requests of clients since nginx started.", nil, nil)
)

func (connections) Describe(out chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{stateOf, totalOf, requestsOf} {
		out <- desc
	}
}

func (c connections) Collect(out chan<- prometheus.Metric) {
	said, err := c.nginx.status()
	if err != nil {
		return // nginx is not there: nothing is counted
	}
	var active, accepted, handled, requests, reading, writing, waiting float64
	// Source: nginx, ngx_http_stub_status_module.
	lines := strings.Join(strings.Fields(said), " ")
	form := "Active connections: %f server accepts handled requests %f %f %f Reading: %f Writing: %f Waiting: %f"
	if _, err := fmt.Sscanf(lines, form, &active, &accepted, &handled, &requests, &reading, &writing, &waiting); err != nil {
		out <- prometheus.NewInvalidMetric(stateOf, err)
		return
	}
	for state, n := range map[string]float64{"active": active, "reading": reading, "writing": writing, "waiting": waiting} {
		out <- prometheus.MustNewConstMetric(stateOf, prometheus.GaugeValue, n, state)
	}
	out <- prometheus.MustNewConstMetric(totalOf, prometheus.CounterValue, accepted, "accepted")
	out <- prometheus.MustNewConstMetric(totalOf, prometheus.CounterValue, handled, "handled")
	out <- prometheus.MustNewConstMetric(requestsOf, prometheus.CounterValue, requests)
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// probes answers the kubelet: /healthz while all is well, /readyz while new requests are welcome.
func probes(alive func() error, ready func() bool) *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) {
		if err := alive(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("/readyz", func(w http.ResponseWriter, _ *http.Request) {
		if !ready() {
			http.Error(w, "not now", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	return mux
}

// serve answers on a port of its own.
func serve(address string, handler http.Handler, failed chan<- error) *http.Server {
	server := &http.Server{Addr: address, Handler: handler, ReadHeaderTimeout: askWithin, IdleTimeout: time.Minute}
	go func() {
		if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
			failed <- err
		}
	}()
	return server
}

func closeWithin(server *http.Server, d time.Duration) {
	ctx, stop := context.WithTimeout(context.Background(), d)
	defer stop()
	_ = server.Shutdown(ctx)
}
