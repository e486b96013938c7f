package docs

import (
	"cmp"
	"go/ast"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// metric is one that a process shows at /metrics.
type metric struct {
	name, kind, help, at string
	labels               []string
}

// helpers are the local functions that make several metrics alike, by what they make.
// They are called with a name, a help and labels.
var helpers = map[string]string{"counter": "counter", "histogram": "histogram", "desc": "gauge"}

// ofBroker begins the names of what helpers make, ofTrigger are the labels of it.
const ofBroker = "sweepline_broker_"

var ofTrigger = []string{"namespace", "broker", "trigger"}

// of says whose metric one of a package is.
func of(t *testing.T, at string) string {
	t.Helper()
	if step, ok := strings.CutPrefix(at, "functions/"); ok {
		return step
	}
	who := map[string]string{
		"shared/function": "every function", "shared/trading": "submit, callback, supervise, collect",
		"shared/broker": "broker", "shared/broker/ingress": "broker", "shared/broker/dispatch": "broker",
		"knative/cmd/broker": "data plane",
	}[at]
	require.NotEmpty(t, who, "whose are the metrics of %s?", at)
	return who
}

// metricsOf finds the metrics that one function makes.
func metricsOf(t *testing.T, fn *ast.FuncDecl) (found []metric) {
	t.Helper()
	ast.Inspect(fn.Body, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		switch fun := call.Fun.(type) {
		case *ast.SelectorExpr: // prometheus.NewGaugeVec(prometheus.GaugeOpts{…}, []string{…})
			x, ok := fun.X.(*ast.Ident)
			kind, opts := kindOf(fun.Sel.Name), optsOf(call)
			if !ok || x.Name != "prometheus" || kind == "" || opts == nil {
				return true
			}
			m := metric{kind: kind, name: joined(opts["Namespace"], opts["Subsystem"], opts["Name"]), help: opts["Help"]}
			if opts["Name"] == "" { // inside a helper
				return true
			}
			if len(call.Args) > 1 && strings.HasSuffix(fun.Sel.Name, "Vec") {
				m.labels = textsOf(call.Args[1])
			}
			found = append(found, m)
		case *ast.Ident:
			kind := helpers[fun.Name]
			if kind == "" || len(call.Args) < 2 {
				return true
			}
			name, ok := text(call.Args[0])
			help, also := text(call.Args[1])
			require.True(t, ok && also, "%s is called with what is no text", fun.Name)
			m := metric{kind: kind, name: ofBroker + name, help: help}
			if kind != "gauge" {
				m.labels = slices.Clone(ofTrigger)
			}
			for _, a := range call.Args[2:] {
				label, ok := text(a)
				require.True(t, ok)
				m.labels = append(m.labels, label)
			}
			found = append(found, m)
		}
		return true
	})
	return found
}

func kindOf(constructor string) string {
	for _, kind := range []string{"Counter", "Gauge", "Histogram", "Summary"} {
		if strings.HasPrefix(constructor, "New"+kind) {
			return strings.ToLower(kind)
		}
	}
	return ""
}

// optsOf are the texts of the options that a metric is made with.
func optsOf(call *ast.CallExpr) map[string]string {
	if len(call.Args) == 0 {
		return nil
	}
	lit, ok := call.Args[0].(*ast.CompositeLit)
	if !ok {
		return nil
	}
	opts := map[string]string{}
	for _, e := range lit.Elts {
		if kv, ok := e.(*ast.KeyValueExpr); ok {
			if value, ok := text(kv.Value); ok {
				opts[kv.Key.(*ast.Ident).Name] = value
			}
		}
	}
	return opts
}

func joined(parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), "_")
}

func textsOf(e ast.Expr) (all []string) {
	lit, ok := e.(*ast.CompositeLit)
	if !ok {
		return nil
	}
	for _, x := range lit.Elts {
		if s, ok := text(x); ok {
			all = append(all, s)
		}
	}
	return all
}

func metricsPage(t *testing.T) string {
	var all []metric
	for at, p := range packages(t) {
		if strings.HasPrefix(at, "local/") || strings.HasPrefix(at, "shared/jobs/jobstest") {
			continue
		}
		for _, f := range p.files {
			for _, d := range f.Decls {
				if fn, ok := d.(*ast.FuncDecl); ok && fn.Body != nil {
					for _, m := range metricsOf(t, fn) {
						m.at = at
						all = append(all, m)
					}
				}
			}
		}
	}
	require.Greater(t, len(all), 30)
	slices.SortFunc(all, func(a, b metric) int { return cmp.Compare(a.name, b.name) })

	var b strings.Builder
	generated(&b, "Metrics", "go test ./local/docs")
	b.WriteString(`What Prometheus finds at ` + "`/metrics`" + `: at ` + "`METRICS_PORT`" + ` of a function (9464 in a cluster, none elsewhere), at ` + "`--admin-port`" + ` of ` + "`sweepline up`" + ` and
` + "`sweepline broker`" + ` (9090), and at port 9090 of the broker's data plane. Never at a public port: tenants and tickers are named. Go's own metrics
(` + "`go_…`, `process_…`" + `) are there besides. Alerts on them have [runbooks](../../knative/config/components/monitoring/RUNBOOKS.md).

`)
	for _, section := range []struct{ title, prefix string }{{"The pipeline", "pipeline_"}, {"The broker", ofBroker}} {
		b.WriteString("## " + section.title + "\n\n| metric | kind | labels | of | |\n|---|---|---|---|---|\n")
		n := 0
		for _, m := range all {
			if !strings.HasPrefix(m.name, section.prefix) {
				continue
			}
			n++
			require.NotEmpty(t, m.help, m.name)
			labels := ""
			if len(m.labels) > 0 {
				labels = "`" + strings.Join(m.labels, "`, `") + "`"
			}
			b.WriteString("| `" + m.name + "` | " + m.kind + " | " + labels + " | " + of(t, m.at) + " | " + sentence(m.help) + " |\n")
		}
		require.Greater(t, n, 10, section.title)
		b.WriteString("\n")
	}
	return strings.TrimSuffix(b.String(), "\n")
}
