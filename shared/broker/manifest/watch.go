package manifest

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"time"

	"github.com/zixly/sweepline/shared/broker"
)

// defaultGrace is longer than editors, copies and remounts take.
const defaultGrace = time.Minute

// Watch looks at fsys every so often until ctx ends, and hands the Set to apply
// when files were changed, added or removed: Server.Apply is meant for it. The
// files as they are when Watch begins count as new. A Set that could not be applied
// (Redis may be away) is applied again at the next look.
//
// Files are read while they are written, and folders are mounted anew, so
//
//   - a change is applied once two looks in a row saw the same;
//   - a file that is no YAML keeps what it gave last, a folder that cannot be read
//     changes nothing;
//   - a Broker or Trigger that is no longer defined stays for Options.Grace, then
//     its removal is logged by name.
//
// What is invalid is logged once, by its name and problem.
//
// It compares contents rather than waiting for notifications, which network
// file systems and mounted ConfigMaps do not give reliably.
func Watch(ctx context.Context, fsys fs.FS, opts Options, every time.Duration,
	apply func(context.Context, broker.Set) error, log *slog.Logger,
) {
	w := watcher{
		fsys: fsys, opts: opts, log: log, apply: apply,
		last: make(map[string][]object), held: make(map[identity]time.Time), said: make(map[string]bool),
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		w.look(ctx)
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

type watcher struct {
	fsys  fs.FS
	opts  Options
	log   *slog.Logger
	apply func(context.Context, broker.Set) error

	// seen is the state of the files at the last look.
	seen [sha256.Size]byte
	// last is what each file gave when it could be read.
	last map[string][]object
	// read is the state that objects and unreadable were read from.
	read       [sha256.Size]byte
	objects    []object
	unreadable []error
	// inForce are the objects of the last Set that was applied, applied its state.
	inForce []object
	applied [sha256.Size]byte
	// held are objects in force that are no longer defined, and since when.
	held map[identity]time.Time
	// said are the problems that were logged and hold still, failure is the last
	// outage that was.
	said    map[string]bool
	failure string
}

// identity names an object.
type identity struct{ kind, namespace, name string }

func (o object) identity(opts Options) identity {
	if o.broker != nil {
		return identity{"Broker", opts.namespace(o.broker.Metadata.Namespace), o.broker.Metadata.Name}
	}
	return identity{"Trigger", opts.namespace(o.trigger.Metadata.Namespace), o.trigger.Metadata.Name}
}

func (i identity) String() string { return i.kind + " " + i.namespace + "/" + i.name }

func (w *watcher) look(ctx context.Context) {
	files, err := readFolder(w.fsys)
	if err != nil {
		w.fail(ctx, err)
		return
	}
	state := fingerprint(files)
	if state != w.seen {
		w.seen = state
		return
	}
	if state != w.read {
		w.parse(files)
		w.read = state
	}
	next := append(slices.Clone(w.objects), w.missing(ctx)...)
	if state = w.stateOf(next); state == w.applied {
		w.failure = ""
		return
	}
	set := build(next, w.unreadable, w.opts)
	w.report(ctx, set)
	if err := w.apply(ctx, set); err != nil {
		if ctx.Err() == nil {
			w.fail(ctx, fmt.Errorf("apply: %w", err))
		}
		return
	}
	w.applied, w.inForce, w.failure = state, next, ""
	w.forget(ctx)
	w.log.InfoContext(ctx, "broker configuration applied",
		"brokers", len(set.Brokers), "triggers", len(set.Triggers), "invalid", len(set.Invalid))
}

// parse reads the files; one that cannot be read counts as it was.
func (w *watcher) parse(files []file) {
	w.objects, w.unreadable = nil, nil
	last := make(map[string][]object, len(files))
	for _, f := range files {
		objects, err := f.parse()
		if err != nil {
			w.unreadable = append(w.unreadable, err)
			if before, ok := w.last[f.name]; ok {
				objects = before
			}
		}
		last[f.name] = objects
		w.objects = append(w.objects, objects...)
	}
	w.last = last
}

// missing gives the objects in force that are no longer defined, for as long as
// they are held.
func (w *watcher) missing(ctx context.Context) []object {
	done := make(map[identity]bool, len(w.objects))
	for _, o := range w.objects {
		id := o.identity(w.opts)
		done[id] = true
		delete(w.held, id)
	}
	grace := w.opts.Grace
	if grace == 0 {
		grace = defaultGrace
	}
	var held []object
	for _, o := range w.inForce {
		id := o.identity(w.opts)
		if done[id] { // defined, or its double
			continue
		}
		done[id] = true
		since, known := w.held[id]
		if !known {
			since = time.Now()
			w.held[id] = since
			w.log.WarnContext(ctx, "not defined any more, will be removed", "object", id.String(), "after", grace.String())
		}
		if time.Since(since) < grace {
			held = append(held, o)
		}
	}
	return held
}

// forget names what the Set that was applied holds no longer.
func (w *watcher) forget(ctx context.Context) {
	inForce := make(map[identity]bool, len(w.inForce))
	for _, o := range w.inForce {
		inForce[o.identity(w.opts)] = true
	}
	for id := range w.held {
		if !inForce[id] {
			delete(w.held, id)
			w.log.WarnContext(ctx, "not defined any more, removed", "object", id.String())
		}
	}
}

// stateOf tells one Set to be from another: by the files, and by what is held
// besides.
func (w *watcher) stateOf(next []object) [sha256.Size]byte {
	h := sha256.New()
	h.Write(w.read[:])
	for _, o := range next[len(w.objects):] {
		h.Write([]byte(o.identity(w.opts).String() + "\n"))
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// report logs problems that are new, and forgets those that are gone.
func (w *watcher) report(ctx context.Context, set broker.Set) {
	now := make(map[string]bool)
	for _, problem := range set.Problems {
		now[problem] = true
		if !w.said[problem] {
			w.log.ErrorContext(ctx, "broker configuration is invalid", "problem", problem)
		}
	}
	for _, t := range set.Invalid {
		key := t.Namespace + "/" + t.Name + ": " + t.Problem
		now[key] = true
		if !w.said[key] {
			w.log.ErrorContext(ctx, "invalid trigger, its events wait", "trigger", t.Namespace+"/"+t.Name, "problem", t.Problem)
		}
	}
	w.said = now
}

// fail logs an outage once.
func (w *watcher) fail(ctx context.Context, err error) {
	if now := err.Error(); now != w.failure {
		w.failure = now
		w.log.ErrorContext(ctx, "applying broker configuration failed, retrying", "error", err)
	}
}

func fingerprint(files []file) [sha256.Size]byte {
	h := sha256.New()
	for _, f := range files {
		sum := sha256.Sum256(f.text)
		h.Write([]byte(f.name + "\n"))
		h.Write(sum[:])
	}
	return [sha256.Size]byte(h.Sum(nil))
}
