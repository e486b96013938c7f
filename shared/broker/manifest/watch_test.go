package manifest

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/broker"
)

// folder is a folder that somebody writes to.
type folder struct {
	mu    sync.Mutex
	files fstest.MapFS
	away  error
}

func (f *folder) Open(name string) (fs.File, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.away != nil {
		return nil, f.away
	}
	return f.files.Open(name)
}

// watched is a Watch in a bubble of its own clock, which looks every second.
type watched struct {
	t      *testing.T
	folder *folder

	mu     sync.Mutex
	sets   []broker.Set
	refuse error
	log    strings.Builder
}

// Write takes lines of the log.
func (w *watched) Write(line []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.Write(line)
}

func (w *watched) logged() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.String()
}

func (w *watched) apply(_ context.Context, s broker.Set) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.refuse == nil {
		w.sets = append(w.sets, s)
	}
	return w.refuse
}

// refused has sets refused with err, or taken where it is nil.
func (w *watched) refused(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.refuse = err
}

// all gives the sets that were applied since the last call.
func (w *watched) all() []broker.Set {
	w.mu.Lock()
	defer w.mu.Unlock()
	sets := w.sets
	w.sets = nil
	return sets
}

// watch runs test beside a Watch of a.yaml with that text, of which the first set
// is taken up.
func watch(t *testing.T, text string, test func(w *watched)) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &watched{t: t, folder: &folder{files: fstest.MapFS{}}}
		w.write(text)
		ctx, cancel := context.WithCancel(t.Context())
		var done sync.WaitGroup
		done.Go(func() {
			Watch(ctx, w.folder, Options{Grace: 10 * time.Second}, time.Second, w.apply, slog.New(slog.NewTextHandler(w, nil)))
		})
		test(w)
		cancel()
		done.Wait()
	})
}

func (w *watched) write(text string) {
	w.folder.mu.Lock()
	defer w.folder.mu.Unlock()
	w.folder.files["a.yaml"] = &fstest.MapFile{Data: []byte(text)}
}

func (w *watched) remove() {
	w.folder.mu.Lock()
	defer w.folder.mu.Unlock()
	w.folder.files = fstest.MapFS{}
}

// after lets the clock go on by that many looks.
func (w *watched) after(looks int) {
	time.Sleep(time.Duration(looks)*time.Second + time.Millisecond) // the bubble's clock
	synctest.Wait()
}

// only gives the one set that was applied since the last call.
func (w *watched) only() broker.Set {
	w.t.Helper()
	sets := w.all()
	require.Len(w.t, sets, 1)
	return sets[0]
}

func names(set broker.Set) []string {
	var out []string
	for _, t := range set.Triggers {
		out = append(out, t.Name)
	}
	return out
}

func named(name, more string) string {
	return "apiVersion: eventing.knative.dev/v1\nkind: Trigger\nmetadata: {name: " + name + "}\nspec: {broker: main, subscriber: {uri: \"http://x\"}" + more + "}\n---\n"
}

func TestWatchTakesUpChanges(t *testing.T) {
	watch(t, aBroker+named("a", ""), func(w *watched) {
		w.after(2)
		require.Equal(t, []string{"a"}, names(w.only()))
		w.after(5)
		require.Empty(t, w.all(), "nothing was changed")
		w.write(aBroker + named("a", ", delivery: {retry: 2}") + named("b", ""))
		w.after(2)
		set := w.only()
		require.Equal(t, []string{"a", "b"}, names(set))
		require.Equal(t, 2, set.Triggers[0].Delivery.Retry)
		require.Equal(t, 2, strings.Count(w.logged(), "broker configuration applied"))
	})
}

func TestWatchRepeatsWhatWasRefused(t *testing.T) {
	watch(t, aBroker, func(w *watched) {
		w.refused(errors.New("redis is away"))
		w.after(6)
		w.refused(nil)
		w.after(1)
		require.Len(t, w.only().Brokers, 1)
		require.Equal(t, 1, strings.Count(w.logged(), "redis is away"), "an outage is logged once")
	})
}

// The file is saved again, unchanged, by a writer that pauses after the first
// document, and later in the middle of one.
func TestWatchOutlastsAPausingWriter(t *testing.T) {
	whole := aBroker + named("a", "") + named("b", ", delivery: {retry: 100}")
	for name, part := range map[string]string{
		"broker": aBroker, "half a broker": whole[:len(aBroker)/2], "one trigger": aBroker + named("a", ""), "nothing": "",
		"half a trigger": whole[:len(whole)-20], "half of the first": whole[:strings.Index(whole, "{broker")+3],
		"no broker": named("a", "") + named("b", ", delivery: {retry: 100}"),
	} {
		t.Run(name, func(t *testing.T) {
			watch(t, whole, func(w *watched) {
				w.after(2)
				before := w.only()
				require.Equal(t, []string{"a", "b"}, names(before))
				w.write(part)
				w.after(5)
				for _, set := range w.all() {
					require.Equal(t, before.Brokers, set.Brokers)
					require.Equal(t, []string{"a", "b"}, names(set))
				}
				w.write(whole)
				w.after(20)
				if sets := w.all(); len(sets) > 0 {
					require.Equal(t, before, sets[len(sets)-1])
				}
				require.NotContains(t, w.logged(), "defined, removed\"")
			})
		})
	}
}

func TestWatchRemovesByNameAfterGrace(t *testing.T) {
	watch(t, aBroker+named("a", "")+named("b", ""), func(w *watched) {
		w.after(2)
		w.only()
		w.write(aBroker + named("a", ", delivery: {retry: 2}"))
		w.after(2)
		set := w.only()
		require.ElementsMatch(t, []string{"a", "b"}, names(set), "the change is taken up, the removal waits")
		require.Contains(t, w.logged(), `msg="not defined any more, will be removed" object="Trigger default/b" after=10s`)
		w.refused(errors.New("redis is away"))
		w.after(20)
		require.NotContains(t, w.logged(), `msg="not defined any more, removed" object`)
		w.refused(nil)
		w.after(1)
		require.Equal(t, []string{"a"}, names(w.only()))
		require.Contains(t, w.logged(), `msg="not defined any more, removed" object="Trigger default/b"`)
		require.Equal(t, 2, strings.Count(w.logged(), "default/b"))

		w.remove()
		w.after(9)
		require.Equal(t, []string{"a"}, names(w.only()))
		w.after(5)
		set = w.only()
		require.Empty(t, set.Brokers)
		require.True(t, set.Partial, "an empty folder may be one that is not mounted")
	})
}

func TestWatchKeepsWhatAFolderGaveThatIsAway(t *testing.T) {
	watch(t, aBroker+named("a", ""), func(w *watched) {
		w.after(2)
		w.only()
		w.folder.mu.Lock()
		w.folder.away = errors.New("stale handle")
		w.folder.mu.Unlock()
		w.after(60)
		require.Empty(t, w.all())
		require.Equal(t, 1, strings.Count(w.logged(), "stale handle"))
		w.folder.mu.Lock()
		w.folder.away = nil
		w.folder.mu.Unlock()
		w.after(60)
		require.Empty(t, w.all())
	})
}

func TestWatchNamesWhatIsInvalidOnce(t *testing.T) {
	broken := aBroker + named("a", "") + named("b", ", filters: [{cesql: \"(\"}]")
	watch(t, broken, func(w *watched) {
		w.after(2)
		set := w.only()
		require.Equal(t, []string{"a"}, names(set))
		require.Equal(t, "b", set.Invalid[0].Name)
		w.write(broken + "# changed\n")
		w.after(5)
		w.only()
		require.Equal(t, 1, strings.Count(w.logged(), "invalid trigger, its events wait"))
		require.Contains(t, w.logged(), "trigger=default/b problem=\"a.yaml: spec.filters[0].cesql: parse expression")
		w.write(broken + "a: [")
		w.after(5)
		set = w.only()
		require.True(t, set.Partial)
		require.Equal(t, []string{"a"}, names(set), "the file counts as it was")
		require.Equal(t, 1, strings.Count(w.logged(), "broker configuration is invalid"))
	})
}
