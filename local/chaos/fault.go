//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// kind is a fault that can be injected into one of several targets and lasts for
// a while.
type kind struct {
	name    string
	targets []string
	// group names what cannot have two faults at once.
	group func(target string) string
	// shortest and longest bound how long it lasts.
	shortest, longest time.Duration
	inject, heal      func(ctx context.Context, target string) error
	// delays says that a call to the API may be held back by as long as this.
	delays bool
	// forgets says that what Redis had acknowledged is gone.
	forgets bool
}

const (
	flushKind = "redis-flush"
	hour      = time.Hour
)

// kinds are all faults that make sense in this world. Their order and their
// targets' depend on the layout only, so that a seed draws the same schedule.
func (w *world) kinds() []kind {
	all := slices.Concat(w.processKinds(), w.redisKinds(), w.postgresKinds(), w.linkKinds(), w.outsideKinds(), w.configKinds())
	return slices.DeleteFunc(all, func(k kind) bool {
		return len(k.targets) == 0 || len(w.o.Only) > 0 && !slices.Contains(w.o.Only, k.name) || k.forgets && !w.o.Flush
	})
}

// self is the group of a fault that has its target for itself.
func self(target string) string { return target }

func same(group string) func(string) string { return func(string) string { return group } }

func (w *world) process(name string) *process {
	switch name {
	case "redis":
		return w.redis.process
	case "postgres":
		return w.postgres.process
	case "simulator":
		return w.simulator
	}
	return w.procs[name]
}

func (w *world) processKinds() []kind {
	down := func(sig syscall.Signal) func(context.Context, string) error {
		return func(_ context.Context, name string) error { w.process(name).down(sig); return nil }
	}
	up := func(_ context.Context, name string) error { return w.process(name).up() }
	send := func(sig syscall.Signal) func(context.Context, string) error {
		return func(_ context.Context, name string) error { w.process(name).signal(sig); return nil }
	}
	skewed := w.names()
	if w.bins.skewed == "" {
		skewed = nil
	}
	var turn atomic.Int32
	ours := w.names()
	return []kind{
		{name: "kill", targets: ours, group: self, longest: 4 * time.Second, inject: down(syscall.SIGKILL), heal: up},
		{name: "stop", targets: ours, group: self, longest: 4 * time.Second, inject: down(syscall.SIGTERM), heal: up},
		{name: "freeze", targets: ours, group: self, shortest: 2 * time.Second, longest: 12 * time.Second, inject: send(syscall.SIGSTOP), heal: send(syscall.SIGCONT), delays: true},
		{name: "away", targets: ours, group: self, shortest: 20 * time.Second, longest: 60 * time.Second, inject: down(syscall.SIGKILL), heal: up},
		// The clock is an hour off, now ahead and now behind, for one life.
		{name: "clock", targets: skewed, group: self, shortest: 10 * time.Second, longest: 30 * time.Second,
			inject: func(_ context.Context, name string) error {
				w.setSkew(name, []time.Duration{hour, -hour}[turn.Add(1)%2])
				w.procs[name].down(syscall.SIGKILL)
				return w.procs[name].up()
			},
			heal: func(_ context.Context, name string) error {
				w.setSkew(name, 0)
				w.procs[name].down(syscall.SIGKILL)
				return w.procs[name].up()
			}},
		{name: "api-kill", targets: []string{"simulator"}, group: self, longest: 5 * time.Second, inject: down(syscall.SIGKILL), heal: up},
		{name: "api-freeze", targets: []string{"simulator"}, group: self, shortest: time.Second, longest: 8 * time.Second, inject: send(syscall.SIGSTOP), heal: send(syscall.SIGCONT)},
		{name: "redis-kill", targets: []string{"redis"}, group: self, longest: 4 * time.Second, inject: down(syscall.SIGKILL), heal: up},
		{name: "redis-freeze", targets: []string{"redis"}, group: self, shortest: time.Second, longest: 8 * time.Second, inject: send(syscall.SIGSTOP), heal: send(syscall.SIGCONT), delays: true},
		{name: "postgres-kill", targets: []string{"postgres"}, group: self, longest: 4 * time.Second, inject: down(syscall.SIGKILL), heal: up},
		{name: "postgres-freeze", targets: []string{"postgres"}, group: self, shortest: time.Second, longest: 8 * time.Second, inject: send(syscall.SIGSTOP), heal: send(syscall.SIGCONT)},
		{name: "postgres-away", targets: []string{"postgres"}, group: self, shortest: 20 * time.Second, longest: 40 * time.Second, inject: down(syscall.SIGKILL), heal: up},
	}
}

func (w *world) redisKinds() []kind {
	r := w.redis
	targets, group := []string{"redis"}, same("redis")
	with := func(do func(context.Context) error) func(context.Context, string) error {
		return func(ctx context.Context, _ string) error { return do(ctx) }
	}
	set := func(name, value string) func(context.Context, string) error {
		return with(func(ctx context.Context) error { return r.set(ctx, name, value) })
	}
	return []kind{
		{name: "redis-read-only", targets: targets, group: group, shortest: time.Second, longest: 8 * time.Second,
			inject: with(func(ctx context.Context) error { return r.readOnly(ctx, true) }),
			heal:   with(func(ctx context.Context) error { return r.readOnly(ctx, false) })},
		{name: "redis-no-replicas", targets: targets, group: group, shortest: time.Second, longest: 8 * time.Second,
			inject: set("min-replicas-to-write", "1"), heal: set("min-replicas-to-write", "0")},
		{name: "redis-full", targets: targets, group: group, shortest: 2 * time.Second, longest: 15 * time.Second,
			inject: with(r.full), heal: set("maxmemory", "0")},
		{name: "redis-disk-full", targets: targets, group: group, shortest: 2 * time.Second, longest: 10 * time.Second,
			inject: with(func(context.Context) error { return r.diskFull() }), heal: with(func(context.Context) error { return r.diskFree() })},
		{name: flushKind, targets: targets, group: group, forgets: true, heal: with(func(context.Context) error { return nil }),
			inject: with(func(ctx context.Context) error { return r.admin.FlushAll(ctx).Err() })},
		w.allLinks("redis-cut", "redis"),
	}
}

func (w *world) postgresKinds() []kind {
	return []kind{
		{name: "postgres-read-only", targets: []string{"postgres"}, group: self, shortest: 2 * time.Second, longest: 20 * time.Second,
			inject: func(ctx context.Context, _ string) error { return w.postgres.readOnly(ctx, true) },
			heal:   func(ctx context.Context, _ string) error { return w.postgres.readOnly(ctx, false) }},
		w.allLinks("postgres-cut", "postgres"),
	}
}

// allLinks cuts every link to a server.
func (w *world) allLinks(name, server string) kind {
	return kind{
		name: name, targets: []string{server}, group: same("links to " + server), shortest: time.Second, longest: 10 * time.Second,
		inject: func(context.Context, string) error {
			var errs []error
			for _, l := range w.links.names(server) {
				errs = append(errs, w.links.cut(l))
			}
			return errors.Join(errs...)
		},
		heal: func(ctx context.Context, _ string) error {
			var errs []error
			for _, l := range w.links.names(server) {
				errs = append(errs, w.links.restore(ctx, l))
			}
			return errors.Join(errs...)
		},
	}
}

func (w *world) linkKinds() []kind {
	all := w.links.names()
	group := func(name string) string {
		if server, _, _ := strings.Cut(name, "<"); server == "redis" || server == "postgres" {
			return "links to " + server
		}
		return name
	}
	heal := w.links.restore
	return []kind{
		{name: "cut", targets: all, group: group, longest: 10 * time.Second, heal: heal,
			inject: func(_ context.Context, l string) error { return w.links.cut(l) }},
		{name: "slow", targets: all, group: group, shortest: 2 * time.Second, longest: 15 * time.Second, heal: heal, delays: true,
			inject: func(_ context.Context, l string) error { return w.links.slow(l, slowest) }},
		{name: "mute", targets: all, group: group, shortest: time.Second, longest: 8 * time.Second, heal: heal,
			inject: func(_ context.Context, l string) error { return w.links.mute(l) }},
	}
}

// slowest is the latency of a slow link, in milliseconds, each way.
const slowest = 200

func (w *world) outsideKinds() []kind {
	status := func(set func(int32), value int) (inject, heal func(context.Context, string) error) {
		return func(context.Context, string) error { set(int32(value)); return nil }, func(context.Context, string) error { set(0); return nil }
	}
	flag := func(f *atomic.Bool) (inject, heal func(context.Context, string) error) {
		return func(context.Context, string) error { f.Store(true); return nil }, func(context.Context, string) error { f.Store(false); return nil }
	}
	outside := func(name, target string, longest time.Duration, inject, heal func(context.Context, string) error) kind {
		return kind{name: name, targets: []string{target}, group: self, shortest: 2 * time.Second, longest: longest, inject: inject, heal: heal}
	}
	slackDown, slackUp := status(w.people.slackStatus.Store, http.StatusServiceUnavailable)
	slackBusy, _ := status(w.people.slackStatus.Store, http.StatusTooManyRequests)
	slackHang, slackWake := flag(&w.people.slackHangs)
	mailDown, mailUp := flag(&w.people.mailRefused)
	apiDown, apiUp := status(w.api.refuse.Store, http.StatusServiceUnavailable)
	apiBusy, _ := status(w.api.refuse.Store, http.StatusTooManyRequests)
	apiBroken, _ := status(w.api.refuse.Store, http.StatusInternalServerError)
	return []kind{
		outside("slack-503", slack, 40*time.Second, slackDown, slackUp),
		outside("slack-429", slack, 15*time.Second, slackBusy, slackUp),
		outside("slack-hangs", slack, 20*time.Second, slackHang, slackWake),
		outside("mail-451", email, 40*time.Second, mailDown, mailUp),
		outside("api-503", "api", 30*time.Second, apiDown, apiUp),
		outside("api-429", "api", 10*time.Second, apiBusy, apiUp),
		outside("api-500", "api", 10*time.Second, apiBroken, apiUp),
		w.allLinks("api-cut", "api"),
	}
}

// configKinds rewrite the folder that brokers read.
func (w *world) configKinds() []kind {
	if w.config == "" {
		return nil
	}
	const file = "200-triggers.yaml"
	heal := func(context.Context, string) error { return w.writeManifests() }
	each := func(name string, change func(path, text string) error) kind {
		return kind{
			name: name, targets: []string{file}, group: self, shortest: time.Second, longest: 8 * time.Second, heal: heal,
			inject: func(_ context.Context, target string) error {
				path := filepath.Join(w.config, target)
				raw, err := os.ReadFile(path)
				if err != nil {
					return fmt.Errorf("read configuration: %w", err)
				}
				return change(path, string(raw))
			},
		}
	}
	return []kind{
		// Whoever does not write beside and rename shows half a file for a while.
		// Half the file is valid YAML with fewer Triggers: the worst half.
		each("config-torn", func(path, text string) error {
			cut := strings.LastIndex(text, "---\n")
			return replaceFile(path, text[:max(cut, 0)])
		}),
		each("config-gone", func(path, _ string) error { return os.Remove(path) }),
		each("config-invalid", func(path, text string) error {
			return replaceFile(path, text+"---\napiVersion: eventing.knative.dev/v1\nkind: Trigger\nmetadata: {name: invalid, namespace: sweepline}\nspec: {broker: default}\n")
		}),
	}
}

// severs reports whether a fault can part the telling of people from the noting
// that they were notified: then, and only then, they may be notified twice.
func (w *world) severs(e episode) bool {
	teller := func(name string) bool { return w.o.Layout == nodes || strings.HasPrefix(name, "notify") }
	server, by, isLink := strings.Cut(e.Target, "<")
	switch {
	case isLink:
		return teller(by) && slices.Contains([]string{"redis", slack, email}, server)
	case e.Target == slack || e.Target == email || e.Target == "redis":
		return true
	case e.Kind == "stop": // ends in order
		return false
	default:
		return w.procs[e.Target] != nil && teller(e.Target)
	}
}
