package functions_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/functions"
	"github.com/zixly/sweepline/knative/config"
	"github.com/zixly/sweepline/shared/broker/manifest"
	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/function"
)

var update = flag.Bool("update", false, "write the table of ARCHITECTURE.md and the AsyncAPI document anew")

func TestEachStepHasItsFolderAndMain(t *testing.T) {
	t.Parallel()
	folders := func(dir string) (names []string) {
		list, err := os.ReadDir(dir)
		require.NoError(t, err)
		for _, e := range list {
			if e.IsDir() && e.Name() != "cmd" {
				names = append(names, e.Name())
			}
		}
		return names
	}
	want := slices.Sorted(functions.Names())
	require.Equal(t, want, folders("."))
	require.Equal(t, want, folders("cmd"))
	for name := range functions.Names() {
		require.FileExists(t, filepath.Join(name, "func.yaml"))
	}
}

// typed is an event of which a filter needs the type only.
type typed string

func (e typed) Attribute(name string) (string, bool) { return string(e), name == "type" }

func (e typed) Event() cloudevents.Event {
	c := cloudevents.New()
	c.SetType(string(e))
	return c
}

func TestTriggersAreThoseOfTheTable(t *testing.T) {
	t.Parallel()
	files, err := fs.Sub(config.Pipeline, "base")
	require.NoError(t, err)
	set, err := manifest.Load(files, manifest.Options{Resolve: func(ref manifest.Ref) (string, error) {
		return "http://" + ref.Name, nil
	}})
	require.NoError(t, err)
	takes, dead := map[string][]string{}, map[string][]string{}
	for _, tr := range set.Triggers {
		name := strings.TrimPrefix(tr.Subscriber, "http://")
		for _, typ := range event.Types() {
			if tr.Filter.Match(typed(typ)) {
				takes[name] = append(takes[name], typ)
			}
		}
		if sink, ok := strings.CutPrefix(tr.Delivery.DeadLetterSink, "http://"); ok {
			require.True(t, strings.HasSuffix(sink, function.DeadLetterPath), "%s: dead letters count at their own path only", tr.Name)
			sink, _, _ = strings.Cut(sink, "/")
			dead[sink] = append(dead[sink], tr.Name)
		}
	}
	for _, s := range functions.Pipeline {
		require.ElementsMatch(t, s.Takes, takes[s.Name], s.Name)
		require.ElementsMatch(t, s.DeadLetters, dead[s.Name], s.Name)
	}
}

// TestEmitters compares the table with the sources of the golden events.
func TestEmitters(t *testing.T) {
	t.Parallel()
	emits := map[string][]string{}
	for _, s := range functions.Pipeline {
		emits[s.Name] = s.Emits
	}
	for _, typ := range event.Types() {
		text, err := os.ReadFile(filepath.Join("..", "shared", "event", "testdata", typ+".json"))
		require.NoError(t, err)
		var e struct{ Source string }
		require.NoError(t, json.Unmarshal(text, &e))
		require.Contains(t, emits[strings.TrimPrefix(e.Source, "/sweepline/")], typ)
	}
}

func TestOwner(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"/webhook/trading-sweep": "receive", "/webhook/sweep-callback": "callback", "/webhook/jobs/1": "api", "/api": "api",
		"/api/jobs/1/events": "api", "/openapi.json": "api", "/version": "api", "/openapi.json/x": "dashboard", "/": "dashboard", "/jobs/1": "dashboard", "/apis": "dashboard", "/webhook/trading-sweep/x": "dashboard",
	} {
		require.Equal(t, want, functions.Owner(path), path)
	}
}

// TestArchitecture keeps the table of the docs that of the code.
func TestArchitecture(t *testing.T) {
	t.Parallel()
	const begin, end = "<!-- steps -->\n", "<!-- end of steps -->\n"
	short := func(types []string) string {
		names := make([]string, len(types))
		for i, typ := range types {
			names[i] = strings.TrimSuffix(strings.TrimPrefix(typ, "com.zixly."), ".v1")
		}
		return strings.Join(names, ", ")
	}
	var table strings.Builder
	table.WriteString("| step | does | public paths | takes | emits |\n|---|---|---|---|---|\n")
	for _, s := range functions.Pipeline {
		takes := short(s.Takes)
		if len(s.DeadLetters) > 0 {
			takes += "; dead letters of " + strings.Join(s.DeadLetters, ", ")
		}
		fmt.Fprintf(&table, "| [%s](functions/%[1]s) | %s | %s | %s | %s |\n", s.Name, s.Does, strings.Join(s.Paths, " "), takes, short(s.Emits))
	}
	file := filepath.Join("..", "ARCHITECTURE.md")
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	before, rest, ok := strings.Cut(string(text), begin)
	require.True(t, ok)
	now, after, ok := strings.Cut(rest, end)
	require.True(t, ok)
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(before+begin+table.String()+end+after), 0o644))
		return
	}
	require.Equal(t, table.String(), now, "go test ./functions -update")
}

// TestDocumentsNameTestsThatExist: a promise whose test was renamed is as good as one
// without.
func TestDocumentsNameTestsThatExist(t *testing.T) {
	t.Parallel()
	there := map[string]bool{}
	declared, named := regexp.MustCompile(`(?m)^func (Test\w+)\(`), regexp.MustCompile("`(Test\\w+)[/`]")
	require.NoError(t, filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && d.Name() != ".." && strings.HasPrefix(d.Name(), "."):
			return fs.SkipDir
		case !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		text, err := os.ReadFile(path)
		for _, m := range declared.FindAllSubmatch(text, -1) {
			there[string(m[1])] = true
		}
		return err
	}))
	for _, document := range []string{"../SECURITY.md", "../shared/wait/README.md"} {
		text, err := os.ReadFile(document)
		require.NoError(t, err)
		found := named.FindAllSubmatch(text, -1)
		require.NotEmpty(t, found, document)
		for _, m := range found {
			require.True(t, there[string(m[1])], "%s: %s", document, m[1])
		}
	}
}
