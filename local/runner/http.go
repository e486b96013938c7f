package runner

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path"
	"time"

	"github.com/zixly/sweepline/functions"
	"github.com/zixly/sweepline/shared/transport"
)

// endpoint is a port with what answers at it.
type endpoint struct {
	l   net.Listener
	srv *http.Server
}

// listen takes a loopback port: nothing here is meant for other machines.
func listen(ctx context.Context, what string, port int, flag string) (*endpoint, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return nil, fmt.Errorf("%s: port %d is taken (choose another with %s, 0 for any): %w", what, port, flag, err)
	}
	// Event streams are long, so there is no write timeout; handlers have
	// deadlines of their own.
	return &endpoint{l: l, srv: &http.Server{ReadHeaderTimeout: 5 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: transport.MaxHeaderBytes}}, nil
}

func (e *endpoint) url() string { return "http://" + e.host() }

func (e *endpoint) host() string { return e.l.Addr().String() }

// serve answers with h until the endpoint is closed, and at once if it is.
// It answers for our hosts only.
func (e *endpoint) serve(h http.Handler, of hosts, log *slog.Logger) error {
	e.srv.Handler, e.srv.ErrorLog = transport.BoundBodies(of.only(h)), slog.NewLogLogger(log.Handler(), slog.LevelDebug)
	if err := e.srv.Serve(e.l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve %s: %w", e.l.Addr(), err)
	}
	return nil
}

// close lets requests finish for a while, then cuts them.
func (e *endpoint) close(ctx context.Context) {
	if e == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if e.srv.Shutdown(ctx) != nil {
		_ = e.srv.Close()
	}
	_ = e.l.Close() // where it was never served
}

// public sends each address to the step that owns it, as the gateway's routes
// do on a cluster.
func public(handler func(step string) http.Handler) http.Handler {
	steps := map[string]http.Handler{}
	for name := range functions.Names() {
		steps[name] = handler(name)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		at := path.Clean(r.URL.Path) // some proxies append a slash
		if at == "/health" {         // as the trading API and most load balancers call it
			fmt.Fprintln(w, "ok")
			return
		}
		owner, ok := steps[functions.Owner(at)]
		if !ok { // "*" of OPTIONS is at no path
			owner = http.NotFoundHandler()
		}
		owner.ServeHTTP(w, r)
	})
}
