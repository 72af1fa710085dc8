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
	"devenv.local/ingress/model"
)

const (
	testWithin   = 30 * time.Second
	effectWithin = 15 * time.Second
	askWithin    = 2 * time.Second
)

// nginx is the process that serves, and the folder that holds what it reads.
type nginx struct {
	folder string
	master *exec.Cmd
	ended  chan error // has the reason, once, when the process is gone
	http   http.Client
}

func newNginx(folder string) (*nginx, error) {
	for _, name := range []string{"certificates", "body", "proxy", "none"} {
		if err := os.MkdirAll(filepath.Join(folder, name), 0o700); err != nil {
			return nil, err
		}
	}
	return &nginx{folder: folder, ended: make(chan error, 1), http: http.Client{Timeout: askWithin}}, nil
}

// refused is nginx's word against a configuration.
type refused struct{ says string }

func (r refused) Error() string { return r.says }

// test asks nginx about a configuration and changes nothing. It returns `refused` for one that nginx does not take.
func (n *nginx) test(ctx context.Context, text string) error {
	file := filepath.Join(n.folder, "next.conf")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return err
	}
	ctx, stop := context.WithTimeout(ctx, testWithin)
	defer stop()
	said, err := exec.CommandContext(ctx, "nginx", "-e", "stderr", "-q", "-t", "-c", file).CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) && ctx.Err() == nil {
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

// write puts certificates beside the configuration. They are named by content: one that is in use never changes.
func (n *nginx) write(certificates map[string]*model.Certificate) error {
	for name, c := range certificates {
		file := filepath.Join(n.folder, "certificates", name+".pem")
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
	files, _ := filepath.Glob(filepath.Join(n.folder, "certificates", "*"))
	for _, file := range files {
		if used[strings.TrimSuffix(filepath.Base(file), ".pem")] == nil {
			_ = os.Remove(file)
		}
	}
}

// use puts a tested configuration into effect and returns once nginx says so.
func (n *nginx) use(ctx context.Context, c config.Config) error {
	file := filepath.Join(n.folder, "nginx.conf")
	if err := os.WriteFile(file+".new", []byte(c.Text), 0o600); err != nil {
		return err
	}
	if err := os.Rename(file+".new", file); err != nil {
		return err
	}
	if n.master == nil {
		if err := n.start(file); err != nil {
			return err
		}
	} else if err := n.master.Process.Signal(syscall.SIGHUP); err != nil {
		return err
	}
	end := time.Now().Add(effectWithin)
	for {
		said, err := n.ask("/generation")
		if err == nil && said == c.Generation {
			return nil
		}
		if time.Now().After(end) || ctx.Err() != nil {
			return fmt.Errorf("nginx did not take configuration %s in time: it says %q, %v", c.Generation, said, err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (n *nginx) start(file string) error {
	n.master = exec.Command("nginx", "-e", "stderr", "-c", file)
	n.master.Stdout, n.master.Stderr = os.Stdout, os.Stderr
	if err := n.master.Start(); err != nil {
		return err
	}
	go func() { n.ended <- n.master.Wait() }()
	return nil
}

// ask returns nginx's answer on its own port.
func (n *nginx) ask(path string) (string, error) {
	request, err := http.NewRequest(http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d%s", config.StatusPort, path), nil)
	if err != nil {
		return "", err
	}
	request.Close = true // an answer of the newest workers, not of those who hold an old connection
	answer, err := n.http.Do(request)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return string(text), err
}

// quit lets nginx finish what it has begun.
func (n *nginx) quit() error {
	if n.master == nil {
		return nil
	}
	if err := n.master.Process.Signal(syscall.SIGQUIT); err != nil {
		return err
	}
	return <-n.ended
}
