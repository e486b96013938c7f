package runner_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"github.com/zixly/sweepline/local/runner"
	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/servers/servertest"
	"github.com/zixly/sweepline/shared/sink"
)

// labels of a metric, and the values that each had.
type labels map[string]map[string]bool

// Not parallel: the environment makes the broker look at its gauges often.
func TestMetricsAreThoseOfRulesAndPanels(t *testing.T) {
	t.Setenv("BROKER_JANITOR_INTERVAL", "200ms")
	b := start(t, runner.Config{PricesDir: shortPrices(t)})
	good := b.submit()
	_, answer := b.post(strings.Replace(sweep, "DAX", "TINY", 1), "")
	bad := answer["job_id"].(string)
	b.die()
	require.Equal(t, job.Completed, b.ended(good).Status)
	require.Equal(t, job.Failed, b.ended(bad).Status)

	var text []byte
	var have map[string]labels
	require.Eventually(t, func() bool {
		text = b.metrics()
		have = read(t, text)
		return have["sweepline_broker_dead_letters_total"] != nil && have["pipeline_results_total"] != nil &&
			have["pipeline_job_duration_seconds"]["status"]["failed"] && have["sweepline_broker_trigger_dead_letters"] != nil &&
			have["sweepline_broker_delivery_attempts_total"]["trigger"]["store"]
	}, jobTimeout, 100*time.Millisecond)

	// Only the data plane of a cluster has a certificate.
	have["sweepline_broker_certificate_end_timestamp_seconds"] = labels{"namespace": {}, "broker": {}}
	for where, expressions := range map[string][]string{"rules": ruleExpressions(t), "dashboard": panelExpressions(t)} {
		require.NotEmpty(t, expressions)
		for _, e := range expressions {
			requireKnown(t, have, where, e)
		}
	}
	require.Equal(t, map[string]bool{"completed": true, "failed": true}, have["pipeline_jobs_processed_total"]["status"])
	require.True(t, have["pipeline_results_total"]["ticker"]["DAX"] && have["pipeline_best_score"]["ticker"]["DAX"])
	for name, of := range have {
		for label, values := range of {
			require.NotContains(t, []string{"job_id", "event_id", "trace_id", "path", "url"}, label, name)
			require.LessOrEqual(t, len(values), 60, "values of %s in %s", label, name)
			for v := range values {
				require.False(t, job.ValidID(v), "%s{%s=%q}", name, label, v)
			}
		}
	}

	t.Run("promtool", func(t *testing.T) {
		cmd := exec.CommandContext(t.Context(), servertest.Program(t, "promtool"), "check", "metrics")
		cmd.Stdin = bytes.NewReader(text)
		said, err := cmd.CombinedOutput()
		require.NoError(t, err, string(said))
		require.Empty(t, string(said))
	})
}

// die sends an event that its function can only refuse: a dead letter.
func (b *bundle) die() {
	b.t.Helper()
	e := cloudevents.New()
	e.SetID(job.NewID())
	e.SetSource("/test")
	e.SetType(event.JobCompleted)
	require.NoError(b.t, e.SetData(cloudevents.ApplicationJSON, json.RawMessage(`{"job": 7}`)))
	sender, err := sink.New(sink.Config{Sink: b.local.BrokerURL}, sink.WithSeals(b.local.Seals))
	require.NoError(b.t, err)
	require.NoError(b.t, sender.Send(b.t.Context(), e))
}

func (b *bundle) metrics() []byte {
	b.t.Helper()
	resp, err := http.Get(b.local.AdminURL + "/metrics")
	require.NoError(b.t, err)
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	require.NoError(b.t, err)
	return text
}

func read(t *testing.T, text []byte) map[string]labels {
	t.Helper()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	require.NoError(t, err)
	have := map[string]labels{}
	for name, f := range families {
		have[name] = labels{}
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if have[name][l.GetName()] == nil {
					have[name][l.GetName()] = map[string]bool{}
				}
				have[name][l.GetName()][l.GetValue()] = true
			}
		}
	}
	return have
}

var (
	metricName = regexp.MustCompile(`\b(?:pipeline|sweepline)_[a-z_]+`)
	selector   = regexp.MustCompile(`\b((?:pipeline|sweepline)_[a-z_]+)\{([^}]*)\}`)
	matcher    = regexp.MustCompile(`([a-z_]+)(=~|!=|!~|=)"([^"]*)"`)
	grouping   = regexp.MustCompile(`by \(([^)]*)\)`)
)

// requireKnown requires that the metrics of an expression are there, with the
// labels and values that it asks for.
func requireKnown(t *testing.T, have map[string]labels, where, expression string) {
	t.Helper()
	family := func(name string) labels {
		base := regexp.MustCompile(`_(bucket|count|sum)$`).ReplaceAllString(name, "")
		if have[name] == nil {
			name = base
		}
		require.Contains(t, have, name, "%s: %s", where, expression)
		return have[name]
	}
	var all []string
	for _, name := range metricName.FindAllString(expression, -1) {
		for l := range family(name) {
			all = append(all, l)
		}
	}
	require.NotEmpty(t, metricName.FindString(expression), "%s: %s", where, expression)
	for _, m := range selector.FindAllStringSubmatch(expression, -1) {
		for _, l := range matcher.FindAllStringSubmatch(m[2], -1) {
			require.Contains(t, family(m[1]), l[1], "%s: %s", where, expression)
			if l[2] == "=" {
				require.Contains(t, family(m[1])[l[1]], l[3], "%s: %s", where, expression)
			}
		}
	}
	for _, g := range grouping.FindAllStringSubmatch(expression, -1) {
		for l := range strings.SplitSeq(g[1], ",") {
			if l = strings.TrimSpace(l); l != "le" {
				require.True(t, slices.Contains(all, l), "%s: no label %s: %s", where, l, expression)
			}
		}
	}
}

const monitoring = "../../knative/config/components/monitoring/"

func ruleExpressions(t *testing.T) (out []string) {
	t.Helper()
	text, err := os.ReadFile(monitoring + "610-rules.yaml")
	require.NoError(t, err)
	var manifest struct {
		Spec struct {
			Groups []struct {
				Rules []struct{ Expr string }
			}
		}
	}
	require.NoError(t, yaml.Unmarshal(text, &manifest))
	for _, g := range manifest.Spec.Groups {
		for _, r := range g.Rules {
			out = append(out, r.Expr)
		}
	}
	return out
}

func panelExpressions(t *testing.T) (out []string) {
	t.Helper()
	text, err := os.ReadFile(monitoring + "dashboard.json")
	require.NoError(t, err)
	var board struct {
		Panels []struct {
			Targets []struct{ Expr string }
		}
	}
	require.NoError(t, json.Unmarshal(text, &board))
	for _, p := range board.Panels {
		for _, target := range p.Targets {
			out = append(out, target.Expr)
		}
	}
	return out
}
