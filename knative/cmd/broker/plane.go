package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"github.com/zixly/sweepline/knative/access"
	"github.com/zixly/sweepline/shared/broker"
	"github.com/zixly/sweepline/shared/broker/inspect"
	"github.com/zixly/sweepline/shared/redisclient"
	"github.com/zixly/sweepline/shared/transport"
)

// Role says what a process of the data plane does.
type Role string

// Both serve the whole contract, so that either makes a new Trigger's group.
const (
	Ingress    Role = "ingress"
	Dispatcher Role = "dispatcher"
)

// Config is the environment of the process.
type Config struct {
	// Role is the part of the data plane that runs: ingress or dispatcher.
	Role Role `envconfig:"BROKER_ROLE" required:"nonempty"`
	// RedisURL is the Redis of the Broker.
	RedisURL string `envconfig:"REDIS_URL" required:"nonempty"`
	// Contract is the folder that the contract is mounted to.
	Contract string `envconfig:"BROKER_CONTRACT" default:"/etc/sweepline/contract"`
	// Address is where the ingress listens for http.
	Address string `envconfig:"LISTEN_ADDRESS" default:":8080"`
	// TLS is the folder of a mounted certificate: then TLSAddress is served, too.
	TLS string `envconfig:"BROKER_TLS"`
	// TLSAddress is where the ingress listens for https.
	TLSAddress string `envconfig:"TLS_ADDRESS" default:":8443"`
	// Tokens is the folder of mounted tokens, which deliveries prove their identities
	// with: then a Trigger is served once its own are there.
	Tokens string `envconfig:"BROKER_TOKENS"`
	// AdminAddress serves health, metrics and the contract's generation.
	AdminAddress string `envconfig:"ADMIN_ADDRESS" default:":9090"`
	// LogLevel is the least level that is logged: debug, info, warn or error.
	LogLevel string `envconfig:"LOG_LEVEL" default:"info"`
	// Linger is how long a stopping ingress goes on serving, until the cluster
	// has stopped sending to it.
	Linger time.Duration `envconfig:"BROKER_LINGER" default:"3s"`
	Broker broker.Config `ignored:"true"`
}

// plane is one process of the data plane.
type plane struct {
	cfg    Config
	log    *slog.Logger
	rdb    redis.UniversalClient
	server *broker.Server
	// guard lets senders in, as the contract says.
	guard access.Guard
	// tokens are what deliveries carry.
	tokens   *access.Tokens
	registry *prometheus.Registry
	// inspector removes what a deleted Broker has left.
	inspector *broker.Inspector
	// generation is that of the contract which is served, 0 before the first.
	generation atomic.Int64
	// serving is closed once there is one; problem is why there is none yet.
	serving  chan struct{}
	problem  atomic.Pointer[error]
	stopping atomic.Bool
	// patience is how long a probe waits for the first contract.
	patience time.Duration
}

// patience is less than the five seconds that a probe waits for its answer: a start
// that takes a moment fails no probe, of which the cluster would make a warning.
const patience = 4 * time.Second

// open makes a plane. It does no I/O: Redis may be away for now.
func open(cfg Config, log *slog.Logger) (*plane, error) {
	if cfg.Role != Ingress && cfg.Role != Dispatcher {
		return nil, fmt.Errorf("BROKER_ROLE is neither %s nor %s", Ingress, Dispatcher)
	}
	client, err := redisclient.New(cfg.RedisURL)
	if err != nil {
		return nil, err
	}
	p := &plane{
		cfg: cfg, log: log, rdb: client, registry: prometheus.NewRegistry(), serving: make(chan struct{}), patience: patience,
	}
	p.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	p.tokens = access.NewTokens(cfg.Tokens)
	cfg.Broker.Admit, cfg.Broker.Token = p.guard.Admit, p.tokens.Get
	if p.server, err = broker.New(cfg.Broker, p.rdb, p.registry, log); err != nil {
		return nil, err
	}
	if p.inspector, err = inspect.New(p.rdb, cfg.Broker.KeyPrefix); err != nil {
		return nil, err
	}
	return p, nil
}

// run serves until ctx ends. Health is answered to the last.
func (p *plane) run(ctx context.Context) error {
	defer p.rdb.Close()
	admin := newServer(p.admin())
	listener, err := listen(ctx, "ADMIN_ADDRESS", p.cfg.AdminAddress)
	if err != nil {
		return err
	}
	work, cancel := context.WithCancel(ctx)
	defer cancel()
	var background errgroup.Group
	background.Go(func() error {
		defer cancel() // a role without health is ended
		return closed(admin.Serve(listener))
	})
	background.Go(func() error {
		p.follow(work)
		return nil
	})
	p.log.InfoContext(ctx, "broker started", "role", string(p.cfg.Role))
	switch p.cfg.Role {
	case Ingress:
		err = p.ingest(work)
	case Dispatcher:
		err = p.server.Run(work)
	}
	cancel()
	err = errors.Join(err, admin.Close(), background.Wait(), p.server.Close())
	p.log.InfoContext(ctx, "broker stopped", "role", string(p.cfg.Role))
	return err
}

// ingest stores events until ctx ends, and a while longer: requests still come
// in until the whole cluster knows that this pod is leaving.
func (p *plane) ingest(ctx context.Context) error {
	server := newServer(p.server.Handler())
	listeners, err := p.listeners(ctx)
	if err != nil {
		return err
	}
	failed := make(chan error, len(listeners))
	for _, l := range listeners {
		go func() { failed <- closed(server.Serve(l)) }()
	}
	select {
	case err := <-failed:
		return fmt.Errorf("serve ingress: %w", errors.Join(err, server.Close()))
	case <-ctx.Done():
	}
	after, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	select {
	case err := <-failed:
		return fmt.Errorf("serve ingress: %w", err)
	case <-time.After(p.cfg.Linger): // it still serves, and probes are told so
	}
	p.stopping.Store(true)
	if err := server.Shutdown(after); err != nil {
		return fmt.Errorf("finish requests: %w", errors.Join(err, server.Close()))
	}
	for range listeners {
		err = errors.Join(err, <-failed)
	}
	return err
}

// listeners are where events come in: by http, and by https where there is a
// certificate.
func (p *plane) listeners(ctx context.Context) ([]net.Listener, error) {
	plain, err := listen(ctx, "LISTEN_ADDRESS", p.cfg.Address)
	if err != nil || p.cfg.TLS == "" {
		return []net.Listener{plain}, err
	}
	cert, err := openCertificate(p.cfg.TLS)
	if err != nil {
		return nil, errors.Join(err, plain.Close())
	}
	if err := p.registry.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: "sweepline", Subsystem: "broker", Name: "certificate_end_timestamp_seconds",
		Help: "When the ingress's certificate ends.",
	}, cert.ends)); err != nil {
		return nil, errors.Join(fmt.Errorf("register metrics: %w", err), plain.Close())
	}
	secure, err := listen(ctx, "TLS_ADDRESS", p.cfg.TLSAddress)
	if err != nil {
		return nil, errors.Join(err, plain.Close())
	}
	return []net.Listener{plain, tls.NewListener(secure, cert.config())}, nil
}

// drainTimeout bounds the finishing of requests: pods have 45 s in all.
const drainTimeout = 30 * time.Second

func listen(ctx context.Context, variable, address string) (net.Listener, error) {
	var c net.ListenConfig
	l, err := c.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", variable, err)
	}
	return l, nil
}

func newServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      time.Minute,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    transport.MaxHeaderBytes,
	}
}

func closed(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
