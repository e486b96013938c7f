package broker

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"github.com/zixly/sweepline/shared/broker/cloudevent"
	"github.com/zixly/sweepline/shared/servers/servertest"
)

// The conformance program of CloudEvents and the folder of its cases. Its module
// is one of .ci/tools: required here it would triple the module graph.
var conformance = sync.OnceValues(func() (c struct{ program, cases string }, err error) {
	const module, tools = "github.com/cloudevents/conformance", "../../.ci/tools"
	dir, err := os.MkdirTemp("", "sweepline-test-")
	if err != nil {
		return c, err
	}
	c.program = filepath.Join(dir, "cloudevents")
	if out, err := exec.Command("go", "build", "-C", tools, "-o", c.program, module+"/cmd/cloudevents").CombinedOutput(); err != nil {
		return c, fmt.Errorf("build conformance program: %w: %s", err, out)
	}
	out, err := exec.Command("go", "list", "-C", tools, "-m", "-f", "{{.Dir}}", module).Output()
	c.cases = filepath.Join(strings.TrimSpace(string(out)), "yaml")
	return c, err
})

// conformanceCase is a document of the module's YAML.
type conformanceCase struct {
	text       string
	Attributes struct {
		Type        string `json:"type"`
		ID          string `json:"id"`
		Source      string `json:"source"`
		ContentType string `json:"datacontenttype"`
	} `json:"ContextAttributes"`
	Data string `json:"Data"`
}

func conformanceCases(t *testing.T, version string) []conformanceCase {
	t.Helper()
	c, err := conformance()
	require.NoError(t, err)
	files, err := filepath.Glob(filepath.Join(c.cases, version, "*.yaml"))
	require.NoError(t, err)
	var all []conformanceCase
	for _, f := range files {
		raw, err := os.ReadFile(f)
		require.NoError(t, err)
		for _, doc := range strings.Split(string(raw), "---\n") {
			one := conformanceCase{text: doc}
			require.NoError(t, yaml.Unmarshal([]byte(doc), &one), f)
			all = append(all, one)
		}
	}
	require.GreaterOrEqual(t, len(all), 6, "the module's cases are found")
	return all
}

// invoke has the conformance program post the cases, in its default (binary) or
// in structured mode, and gives what it says of failures.
func invoke(t *testing.T, url string, structured bool, cases ...conformanceCase) error {
	t.Helper()
	c, err := conformance()
	require.NoError(t, err)
	var docs []string
	for _, one := range cases {
		if structured {
			one.text = strings.Replace(one.text, "ContextAttributes:", "Mode: structured\nContextAttributes:", 1)
		}
		docs = append(docs, one.text)
	}
	file := filepath.Join(t.TempDir(), "cases.yaml")
	require.NoError(t, os.WriteFile(file, []byte(strings.Join(docs, "---\n")), 0o600))
	if out, err := exec.CommandContext(t.Context(), c.program, "invoke", url, "-f", file).CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// Every case of the module, sent by its own program through ingress, Redis and
// dispatcher, arrives as it was sent, at a subscriber of either format.
func TestConformanceModule(t *testing.T) {
	t.Parallel()
	for _, structured := range []bool{false, true} {
		t.Run(fmt.Sprintf("structured=%t", structured), func(t *testing.T) {
			t.Parallel()
			b := setup(t, servertest.Redis(t))
			binary, inJSON := subscribe(t, nil), subscribe(t, nil)
			formatted := b.trigger("json", inJSON)
			formatted.Delivery.Format = FormatJSON
			n := b.start(b.trigger("binary", binary), formatted)
			var cases []conformanceCase
			for _, c := range conformanceCases(t, "v1.0") {
				// The module's program puts Data into structured events as it is, which
				// works for JSON only. The others are among the cases of our own.
				if !structured || cloudevent.IsJSON(c.Attributes.ContentType) {
					cases = append(cases, c)
				}
			}
			require.NoError(t, invoke(t, n.url(), structured, cases...))
			want := map[string]conformanceCase{}
			for _, c := range cases {
				want[c.Attributes.ID] = c
			}
			require.Len(t, want, len(cases))
			for range cases {
				d := binary.next(t)
				c := want[d.id()]
				require.Equal(t, "1.0", d.header.Get("Ce-Specversion"))
				require.Equal(t, c.Attributes.Type, d.header.Get("Ce-Type"))
				require.Equal(t, c.Attributes.Source, d.header.Get("Ce-Source"))
				require.Equal(t, c.Attributes.ContentType, d.header.Get("Content-Type"))
				data := c.Data
				if structured {
					data = strings.TrimSpace(data) // the program's JSON encoder drops the line end
				}
				require.Equal(t, data, string(d.body))

				e := readStructured(t, inJSON.next(t).body)
				c = want[e.attrs["id"].(string)]
				require.Equal(t, map[string]any{
					"specversion": "1.0", "id": c.Attributes.ID, "type": c.Attributes.Type, "source": c.Attributes.Source,
					"datacontenttype": c.Attributes.ContentType,
				}, e.attrs)
				if data = c.Data; cloudevent.IsJSON(c.Attributes.ContentType) {
					data = strings.TrimSpace(data) // white space around a JSON value is not part of it
				}
				require.Equal(t, data, string(e.data))
			}
			b.settled("binary")
			b.settled("json")
			binary.none(t)
			inJSON.none(t)
		})
	}
}

// Events of CloudEvents 0.3 are taken and stay what they are.
func TestConformanceModuleOldVersion(t *testing.T) {
	t.Parallel()
	b := setup(t, servertest.Redis(t))
	s := subscribe(t, nil)
	n := b.start(b.trigger("t", s))
	want := map[string]conformanceCase{}
	for _, c := range conformanceCases(t, "v0.3") {
		want[c.Attributes.ID] = c
		require.NoError(t, invoke(t, n.url(), false, c))
	}
	for range want {
		d := s.next(t)
		c := want[d.id()]
		require.Equal(t, "0.3", d.header.Get("Ce-Specversion"))
		require.Equal(t, c.Attributes.Type, d.header.Get("Ce-Type"))
		require.Equal(t, c.Attributes.Source, d.header.Get("Ce-Source"))
		require.Equal(t, c.Attributes.ContentType, d.header.Get("Content-Type"))
		require.Equal(t, c.Data, string(d.body))
	}
	b.settled("t")
	s.none(t)
}
