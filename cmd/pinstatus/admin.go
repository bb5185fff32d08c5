package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/zap"
)

// check is one condition of readiness.
type check struct {
	name  string
	ready func() error
}

// admin serves /metrics, /livez and /readyz. It serves from the start of a process, so that
// what a start waits for can be seen.
type admin struct {
	server *http.Server
	mux    *http.ServeMux
	addr   string // as bound

	mu      sync.Mutex
	started bool // all checks have been added
	checks  []check
}

// add adds conditions of readiness.
func (a *admin) add(checks ...check) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.checks = append(a.checks, checks...)
}

// handle adds a page.
func (a *admin) handle(pattern string, h http.HandlerFunc) { a.mux.HandleFunc(pattern, h) }

// complete says that all conditions have been added: without it nothing is ready.
func (a *admin) complete() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.started = true
}

// newRegistry is the process' metrics registry, with what Go and the kernel know of it.
func newRegistry() *prometheus.Registry {
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "pinstatus_build_info", Help: "1, labelled with the version that runs.",
		ConstLabels: prometheus.Labels{"version": version()},
	})
	info.Set(1)
	reg.MustRegister(info)
	return reg
}

// startAdmin listens and serves until it is closed.
func startAdmin(addr string, reg *prometheus.Registry, log *zap.Logger) (*admin, error) {
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("--admin-addr: %w", err)
	}
	mux := http.NewServeMux()
	a := &admin{addr: l.Addr().String(), mux: mux}
	mux.Handle("GET /metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{Registry: reg}))
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		status, text := a.readiness()
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(status)
		fmt.Fprint(w, text)
	})
	a.server = &http.Server{
		Handler: mux, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute, WriteTimeout: 30 * time.Second,
	}
	go func() {
		if err := a.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			log.Error("admin server stopped", zap.Error(err))
		}
	}()
	return a, nil
}

// readiness is the answer of /readyz: a line for each condition.
func (a *admin) readiness() (status int, text string) {
	a.mu.Lock()
	checks, started := slices.Clone(a.checks), a.started
	a.mu.Unlock()
	status = http.StatusOK
	var b strings.Builder
	if !started {
		status = http.StatusServiceUnavailable
		b.WriteString("[-] process: starting\n")
	}
	for _, c := range checks {
		if err := c.ready(); err != nil {
			status = http.StatusServiceUnavailable
			fmt.Fprintf(&b, "[-] %s: %s\n", c.name, oneLine(err))
			continue
		}
		fmt.Fprintf(&b, "[+] %s: ok\n", c.name)
	}
	return status, b.String()
}

func (a *admin) close(context.Context) error { return a.server.Close() }
