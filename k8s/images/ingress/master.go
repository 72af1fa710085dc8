package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"devenv.local/ingress/config"
)

func (a *agent) file() string { return filepath.Join(a.folder, "nginx.conf") }

// test asks nginx about a configuration. The caller has the turn.
func (a *agent) test(ctx context.Context, text string) error {
	file := filepath.Join(a.folder, "next.conf")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return err
	}
	ctx, stop := context.WithTimeout(ctx, testWithin)
	defer stop()
	said, err := exec.CommandContext(ctx, "nginx", "-e", "stderr", "-q", "-t", "-g", a.machine, "-c", file).CombinedOutput()
	var exit *exec.ExitError
	switch {
	case err == nil:
		a.fine = text
	case errors.As(err, &exit) && ctx.Err() == nil:
		return refused{lastWords(string(said))}
	}
	return err
}

// lastWords returns the line of nginx that says why, without its date.
func lastWords(said string) string {
	for line := range strings.Lines(said) {
		if _, why, found := strings.Cut(line, "[emerg] "); found {
			_, after, _ := strings.Cut(why, ": ")
			return strings.TrimSpace(after)
		}
	}
	return strings.TrimSpace(said)
}

// take puts a configuration into effect and returns once nginx serves it; any, where its generation is not known. One that
// nginx refuses leaves everything as it is.
func (a *agent) take(ctx context.Context, text, generation string) error {
	a.turn.Lock()
	defer a.turn.Unlock()
	if text != a.fine {
		if err := a.test(ctx, text); err != nil {
			return err
		}
	}
	if err := os.WriteFile(a.file()+".new", []byte(text), 0o600); err != nil {
		return err
	}
	if err := os.Rename(a.file()+".new", a.file()); err != nil {
		return err
	}
	if err := a.reload(); err != nil {
		return err
	}
	end := time.Now().Add(effectWithin)
	for {
		said, err := a.ask("/generation")
		if err == nil && (said == generation || generation == "") {
			a.generation.Store(said)
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("nginx did not take configuration %s in time: it says %q, %v", generation, said, err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// reload has nginx read its configuration, and starts it where it does not run yet.
func (a *agent) reload() error {
	if a.master != nil {
		return a.master.Process.Signal(syscall.SIGHUP)
	}
	master := exec.Command("nginx", "-e", "stderr", "-g", a.machine, "-c", a.file())
	master.Stdout, master.Stderr = os.Stdout, os.Stderr
	if err := master.Start(); err != nil {
		return err
	}
	a.master = master
	a.started.Store(true)
	go func() { a.ended <- master.Wait() }()
	return nil
}

// ask returns nginx's answer on its own port.
func (a *agent) ask(path string) (string, error) {
	request, err := http.NewRequest(http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d%s", config.StatusPort, path), nil)
	if err != nil {
		return "", err
	}
	request.Close = true // an answer of the newest workers, not of those who hold an old connection
	answer, err := a.http.Do(request)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return string(text), err
}
