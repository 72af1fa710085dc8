package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
)

// listen answers the controller.
func (a *agent) listen() error {
	socket := socketOf(a.folder)
	if err := os.Remove(socket); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err // of an earlier run
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /generation", answer(func(*http.Request) (string, error) { return a.generation.Load().(string), nil }))
	mux.HandleFunc("GET /status", answer(func(*http.Request) (string, error) { return a.ask("/status") }))
	mux.HandleFunc("POST /test", answer(func(r *http.Request) (string, error) {
		text, err := io.ReadAll(r.Body)
		if err != nil {
			return "", err
		}
		a.turn.Lock()
		defer a.turn.Unlock()
		return "", a.test(r.Context(), string(text))
	}))
	mux.HandleFunc("PUT /configuration/{generation}", answer(func(r *http.Request) (string, error) {
		text, err := io.ReadAll(r.Body)
		if err != nil {
			return "", err
		}
		return "", a.take(r.Context(), string(text), r.PathValue("generation"))
	}))
	return (&http.Server{Handler: mux, ReadHeaderTimeout: askWithin}).Serve(listener)
}

// answer says what nginx said; 422 is its word against a configuration.
func answer(to func(*http.Request) (string, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		said, err := to(r)
		switch {
		case errors.As(err, new(refused)):
			http.Error(w, err.Error(), http.StatusUnprocessableEntity)
		case err != nil:
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		default:
			fmt.Fprint(w, said)
		}
	}
}
