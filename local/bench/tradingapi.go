package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
)

// callbackConns is how many callbacks the stub sends at once.
const callbackConns = 64

// tradingAPI is a trading API that costs next to nothing: every sweep is accepted,
// takes as long as is set, succeeds, has one row of results and is reported once.
// It counts what it is asked.
type tradingAPI struct {
	server
	// delay is from a submission to its callback, in nanoseconds.
	delay atomic.Int64
	tasks sync.WaitGroup
	ctx   context.Context //nolint:containedctx // ends callbacks that are still to come
	stop  context.CancelFunc

	mu      sync.Mutex
	sweeps  map[string]*apiSweep
	hooks   map[string]*pool // by host
	calls   map[string]int
	refused int // callbacks that were not answered with 2xx
}

// apiSweep is what the stub remembers.
type apiSweep struct {
	id, run, ticker, callback string
	headers                   map[string]string
	due                       time.Time
}

func startTradingAPI() (*tradingAPI, error) {
	a := &tradingAPI{sweeps: map[string]*apiSweep{}, hooks: map[string]*pool{}, calls: map[string]int{}}
	a.ctx, a.stop = context.WithCancel(context.Background())
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", a.counted("health", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]any{"status": "healthy", "version": "stub", "timestamp": time.Now().UTC()})
	}))
	mux.HandleFunc("POST /api/v1/strategy/sweep", a.counted("submit", a.submit))
	mux.HandleFunc("GET /api/v1/jobs/{id}", a.counted("job", a.job))
	mux.HandleFunc("GET /api/v1/jobs/{$}", a.counted("jobs", a.list))
	mux.HandleFunc("DELETE /api/v1/jobs/{id}", a.counted("cancel", a.job))
	mux.HandleFunc("GET /api/v1/sweeps/{run}/best", a.counted("best", a.rows))
	mux.HandleFunc("GET /api/v1/sweeps/{run}", a.counted("results", a.rows))
	if err := a.start(mux); err != nil {
		return nil, err
	}
	return a, nil
}

func (a *tradingAPI) counted(name string, h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		a.calls[name]++
		a.mu.Unlock()
		h(w, r)
	}
}

func (a *tradingAPI) submit(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Ticker  string            `json:"ticker"`
		URL     string            `json:"webhook_url"`
		Headers map[string]string `json:"webhook_headers"`
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		answer(w, http.StatusUnprocessableEntity, map[string]any{"error": "validation", "detail": err.Error()})
		return
	}
	delay := time.Duration(a.delay.Load())
	s := &apiSweep{id: uuid.NewString(), run: uuid.NewString(), ticker: body.Ticker, callback: body.URL, headers: body.Headers, due: time.Now().Add(delay)}
	a.mu.Lock()
	a.sweeps[s.id] = s
	a.mu.Unlock()
	answer(w, http.StatusAccepted, map[string]any{
		"job_id": s.id, "status": "pending", "created_at": time.Now().UTC(), "status_url": "/api/v1/jobs/" + s.id, "stream_url": "/api/v1/jobs/" + s.id + "/stream",
	})
	a.tasks.Go(func() {
		if delay > 0 {
			timer := time.NewTimer(delay)
			defer timer.Stop()
			select {
			case <-timer.C:
			case <-a.ctx.Done():
				return
			}
		}
		if err := a.call(s); err != nil && a.ctx.Err() == nil {
			a.mu.Lock()
			a.refused++
			a.mu.Unlock()
		}
	})
}

// call is the one attempt at the callback.
func (a *tradingAPI) call(s *apiSweep) error {
	u, err := url.Parse(s.callback)
	if err != nil {
		return fmt.Errorf("read webhook_url: %w", err)
	}
	headers := []string{"User-Agent: TradingAPI-Webhook/1.0", "X-Job-ID: " + s.id}
	for name, value := range s.headers {
		headers = append(headers, name+": "+value)
	}
	now := time.Now().UTC().Format(time.RFC3339Nano)
	body := fmt.Appendf(nil, `{"event_type":"sweep.completed","job_id":%q,"sweep_run_id":%q,"status":"completed","ticker":%q,`+
		`"result_data":{"sweep_run_id":%q,"total_combinations":1,"execution_time_seconds":0.1,"completed_at":%q},"timestamp":%q}`,
		s.id, s.run, s.ticker, s.run, now, now)
	a.mu.Lock()
	a.calls["callback"]++
	p := a.hooks[u.Host]
	if p == nil {
		p = newPool(u.Host, callbackConns)
		a.hooks[u.Host] = p
	}
	a.mu.Unlock()
	status, err := p.send(a.ctx, post(u.Host, u.RequestURI(), headers, body))
	if err == nil && status/100 != 2 {
		err = fmt.Errorf("callback answered with %d", status)
	}
	return err
}

func (a *tradingAPI) job(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	s := a.sweeps[r.PathValue("id")]
	a.mu.Unlock()
	if s == nil {
		answer(w, http.StatusNotFound, map[string]any{"error": "not found", "code": "NOT_FOUND"})
		return
	}
	answer(w, http.StatusOK, s.status())
}

func (a *tradingAPI) list(w http.ResponseWriter, _ *http.Request) {
	a.mu.Lock()
	all := make([]map[string]any, 0, len(a.sweeps))
	for _, s := range a.sweeps {
		all = append(all, s.status())
	}
	a.mu.Unlock()
	answer(w, http.StatusOK, all)
}

func (s *apiSweep) status() map[string]any {
	j := map[string]any{"job_id": s.id, "status": "running", "progress": 50, "parameters": map[string]any{"ticker": s.ticker, "webhook_url": s.callback}}
	if time.Now().After(s.due) {
		j["status"], j["progress"], j["result_data"] = "completed", 100, map[string]any{"sweep_run_id": s.run, "total_combinations": 1}
	}
	return j
}

// rows answers as either address of results does.
func (a *tradingAPI) rows(w http.ResponseWriter, r *http.Request) {
	ticker := r.URL.Query().Get("ticker")
	body := fmt.Appendf(nil, `{"sweep_run_id":%q,"ticker":%q,"total_count":1,"total_results":1,"returned_count":1,"offset":0,"limit":500,"results":[`+
		`{"ticker":%q,"strategy_type":"SMA","fast_period":10,"slow_period":50,"score":1.25,"sharpe_ratio":0.8,"sortino_ratio":1.1,"total_return_pct":123.4,`+
		`"annualized_return":7.1,"max_drawdown_pct":21.5,"win_rate_pct":48.3,"profit_factor":1.9,"total_trades":61,"trades_per_month":0.4,`+
		`"avg_trade_duration":35.5,"expectancy_per_trade":2.1,"calmar_ratio":0.33,"result_id":"1"}]}`, r.PathValue("run"), ticker, ticker)
	if o := r.URL.Query().Get("offset"); o != "" && o != "0" {
		body = fmt.Appendf(nil, `{"sweep_run_id":%q,"total_count":1,"returned_count":0,"offset":%s,"limit":500,"results":[]}`, r.PathValue("run"), strconv.Quote(o))
	}
	write(w, http.StatusOK, body)
}

// counts copies what was asked so far: calls by endpoint, callbacks sent, and
// connections opened.
func (a *tradingAPI) counts() map[string]float64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := map[string]float64{"conns": float64(a.conns.Load())}
	for name, calls := range a.calls {
		n[name] = float64(calls)
	}
	return n
}

// lost is how many callbacks were not taken.
func (a *tradingAPI) lost() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.refused
}

// forget drops sweeps of an earlier run and closes what goes to its callbacks.
func (a *tradingAPI) forget() {
	a.mu.Lock()
	hooks := a.hooks
	a.sweeps, a.hooks, a.refused = map[string]*apiSweep{}, map[string]*pool{}, 0
	a.mu.Unlock()
	for _, p := range hooks {
		p.close()
	}
}

func (a *tradingAPI) close() {
	a.stop()
	a.tasks.Wait()
	a.forget()
	a.server.close()
}

// server is a stub's HTTP server on a port of its own.
type server struct {
	url   string
	srv   *http.Server
	done  chan error
	conns atomic.Int64
}

func (s *server) start(h http.Handler) error {
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("start stub: %w", err)
	}
	s.url = "http://" + l.Addr().String()
	s.srv = &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, ConnState: func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			s.conns.Add(1)
		}
	}}
	s.done = make(chan error, 1)
	go func() { s.done <- s.srv.Serve(l) }()
	return nil
}

func (s *server) close() {
	_ = s.srv.Close()
	if err := <-s.done; !errors.Is(err, http.ErrServerClosed) {
		panic(fmt.Sprintf("stub ended: %v", err)) // its listener is gone: nothing that was measured holds
	}
}

func answer(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	write(w, status, body)
}

func write(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) //nolint:gosec // JSON, to a client of ours
}

// hostOf is the host and port of one of our URLs.
func hostOf(u string) string { return strings.TrimPrefix(u, "http://") }
