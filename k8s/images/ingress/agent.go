package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"devenv.local/ingress/config"
)

// agent runs nginx in a container that has no token: it starts it, and has it test and take what the controller sends.
type agent struct {
	folder  string
	machine string     // directives that depend on where nginx runs
	ended   chan error // has the reason, once, when nginx is gone
	http    http.Client

	turn   sync.Mutex // nginx tests or takes one configuration at a time
	master *exec.Cmd
	fine   string // the configuration that nginx was content with last

	started    atomic.Bool
	generation atomic.Value // the configuration that nginx serves, a string
}

// runNginx serves until the context ends, and then lets nginx finish what it has begun.
func runNginx(ctx context.Context, o options) error {
	a, err := newAgent(o.folder)
	if err != nil {
		return err
	}
	failed := make(chan error, 2)
	server := serve(o.address, probes(a.alive, func() bool { return a.generation.Load() != "" && ctx.Err() == nil }), failed)
	defer closeWithin(server, askWithin)
	go func() {
		// Before anything is answered: a controller that is there already need not send what nginx has.
		if err := a.resume(ctx); err != nil {
			failed <- err
			return
		}
		failed <- a.listen()
	}()
	select {
	case <-ctx.Done():
	case err := <-failed:
		return err
	case err := <-a.ended:
		return fmt.Errorf("nginx ended by itself: %v", err)
	}
	slog.Info("ending: requests that still come are served", "for", o.drain)
	time.Sleep(o.drain)
	return a.quit()
}

func newAgent(folder string) (*agent, error) {
	for _, name := range []string{"socket", "body", "proxy", "none"} {
		if err := os.MkdirAll(filepath.Join(folder, name), 0o700); err != nil {
			return nil, err
		}
	}
	machine := fmt.Sprintf("daemon off; pid %s/nginx.pid; worker_processes %d; worker_rlimit_nofile %d;",
		folder, runtime.GOMAXPROCS(0), openFiles()) // as many as the container may use
	a := &agent{folder: folder, machine: machine, ended: make(chan error, 1), http: http.Client{Timeout: askWithin}}
	a.generation.Store("")
	return a, nil
}

// openFiles returns how many files a worker of nginx may open. A container may start with a low limit that a process may
// raise up to another; a worker without privileges cannot raise it above that.
func openFiles() uint64 {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return config.WantedFiles
	}
	return min(limit.Max, config.WantedFiles)
}

// resume starts nginx with its last configuration, if there is one, without the controller.
func (a *agent) resume(ctx context.Context) error {
	text, err := os.ReadFile(a.file())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = a.take(ctx, string(text), "")
	}
	if errors.As(err, new(refused)) {
		slog.Error("nginx refuses its last configuration; waiting for the controller's", "says", err)
		return nil
	}
	return err
}

// alive returns why nginx does not answer. Before it has a configuration it need not.
func (a *agent) alive() error {
	if !a.started.Load() {
		return nil
	}
	_, err := a.ask("/generation")
	return err
}

// quit lets nginx finish what it has begun. No configuration is taken after it.
func (a *agent) quit() error {
	a.turn.Lock()
	if a.master == nil {
		return nil
	}
	if err := a.master.Process.Signal(syscall.SIGQUIT); err != nil {
		return err
	}
	return <-a.ended
}
