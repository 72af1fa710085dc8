package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"devenv.local/ingress/config"
	"devenv.local/ingress/model"
)

const (
	testWithin   = 30 * time.Second
	effectWithin = 15 * time.Second
	askWithin    = 2 * time.Second
	saysAtMost   = 16 << 10 // of what comes from the container of nginx
)

// nginx is what the controller sees of it: the folder of certificates that it reads, and the agent beside it, behind a socket.
type nginx struct {
	certificates string
	http         http.Client
}

func newNginx(folder string) (*nginx, error) {
	n := &nginx{certificates: filepath.Join(folder, "certificates")}
	n.http.Transport = &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socketOf(folder))
	}}
	return n, os.MkdirAll(n.certificates, 0o700)
}

func socketOf(folder string) string { return filepath.Join(folder, "socket", "agent") }

// refused is nginx's word against a configuration.
type refused struct{ says string }

func (r refused) Error() string { return r.says }

// test asks nginx about a configuration and changes nothing. It returns `refused` for one that nginx does not take.
func (n *nginx) test(ctx context.Context, text string) error {
	_, err := n.ask(ctx, testWithin+askWithin, http.MethodPost, "/test", text)
	return err
}

// use puts a configuration into effect and returns once nginx says so. One that nginx refuses changes nothing.
func (n *nginx) use(ctx context.Context, c config.Config) error {
	_, err := n.ask(ctx, testWithin+effectWithin+askWithin, http.MethodPut, "/configuration/"+c.Generation, c.Text)
	return err
}

// generation returns which configuration nginx serves; none yet where it is empty.
func (n *nginx) generation(ctx context.Context) (string, error) {
	return n.ask(ctx, askWithin, http.MethodGet, "/generation", "")
}

// status returns nginx's own count of its connections.
func (n *nginx) status() (string, error) {
	return n.ask(context.Background(), askWithin, http.MethodGet, "/status", "")
}

func (n *nginx) ask(ctx context.Context, within time.Duration, method, path, body string) (string, error) {
	ctx, stop := context.WithTimeout(ctx, within)
	defer stop()
	request, err := http.NewRequestWithContext(ctx, method, "http://nginx"+path, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	answer, err := n.http.Do(request)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, saysAtMost))
	said := strings.TrimSpace(string(text))
	switch {
	case err != nil:
		return "", err
	case answer.StatusCode == http.StatusUnprocessableEntity:
		return "", refused{said}
	case answer.StatusCode != http.StatusOK:
		return "", fmt.Errorf("nginx: %s: %s", answer.Status, said)
	}
	return said, nil
}

// write puts certificates where nginx reads them. They are named by content: one that is in use never changes.
func (n *nginx) write(certificates map[string]*model.Certificate) error {
	for name, c := range certificates {
		file := filepath.Join(n.certificates, name+".pem")
		if _, err := os.Stat(file); err == nil {
			continue
		}
		if err := os.WriteFile(file+".new", c.PEM, 0o600); err != nil {
			return err
		}
		if err := os.Rename(file+".new", file); err != nil {
			return err
		}
	}
	return nil
}

// forget removes the certificates that are used no more.
func (n *nginx) forget(used map[string]*model.Certificate) {
	files, _ := filepath.Glob(filepath.Join(n.certificates, "*"))
	for _, file := range files {
		if used[strings.TrimSuffix(filepath.Base(file), ".pem")] == nil {
			_ = os.Remove(file)
		}
	}
}
