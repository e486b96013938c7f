package supervise_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"sync"

	"github.com/redis/go-redis/v9"
)

var errCrashed = errors.New("crashed")

// faults lets a process crash at its n-th call to Redis, the API or the broker:
// before the call takes place, or after it, so that its answer is lost. The dead
// do nothing any more.
type faults struct {
	mu    sync.Mutex
	at    int // 0: never
	after bool
	calls int
	dead  bool
}

// enter is false for the dead; last is true for the call that kills.
func (f *faults) enter() (alive, last bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.dead {
		return false, false
	}
	f.calls++
	if f.at > 0 && f.calls == f.at {
		f.dead = true
		return f.after, true
	}
	return true, false
}

func (f *faults) crashed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.dead
}

func (f *faults) do(call func() error) error {
	alive, last := f.enter()
	if !alive {
		return errCrashed
	}
	err := call()
	if last {
		return errCrashed
	}
	return err
}

func (f *faults) roundTrip(r *http.Request, h http.Handler) (resp *http.Response, err error) {
	err = f.do(func() error {
		var body []byte
		if r.Body != nil {
			body, _ = io.ReadAll(r.Body)
		}
		in := httptest.NewRequest(r.Method, r.URL.String(), bytes.NewReader(body))
		in.Header = r.Header
		if trace := httptrace.ContextClientTrace(r.Context()); trace != nil && trace.WroteHeaders != nil {
			trace.WroteHeaders()
		}
		rec := httptest.NewRecorder()
		defer func() {
			if recover() != nil { // the simulator cut the connection
				err = io.ErrUnexpectedEOF
			}
		}()
		h.ServeHTTP(rec, in)
		resp = rec.Result()
		return nil
	})
	if err == nil && resp == nil {
		return nil, io.ErrUnexpectedEOF
	}
	return resp, err
}

// faults is a hook of go-redis.
func (f *faults) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (f *faults) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := f.do(func() error { return next(ctx, cmd) })
		if errors.Is(err, errCrashed) {
			cmd.SetErr(err)
		}
		return err
	}
}

func (f *faults) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := f.do(func() error { return next(ctx, cmds) })
		if errors.Is(err, errCrashed) {
			for _, cmd := range cmds {
				cmd.SetErr(err)
			}
		}
		return err
	}
}
