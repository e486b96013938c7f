package docs

import (
	"go/ast"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// code is one that answers or failed jobs have.
type code struct{ name, value, statuses, what, remedy string }

// codesIn reads the constants of a package that a pattern describes: its groups are what
// stands between the name and "Remedy:", and the remedy.
func codesIn(t *testing.T, p *pkg, prefix string, comment *regexp.Regexp) (found []code) {
	t.Helper()
	for _, f := range p.files {
		for _, d := range f.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok {
				continue
			}
			for _, s := range g.Specs {
				v, ok := s.(*ast.ValueSpec)
				if !ok || len(v.Values) != 1 || !strings.HasPrefix(v.Names[0].Name, prefix) {
					continue
				}
				typ, _ := v.Type.(*ast.Ident)
				if prefix == "" && (typ == nil || typ.Name != "ErrorCode") {
					continue
				}
				value, ok := text(v.Values[0])
				require.True(t, ok, v.Names[0].Name)
				name, doc := v.Names[0].Name, strings.Join(strings.Fields(v.Doc.Text()), " ")
				m := comment.FindStringSubmatch(strings.TrimPrefix(doc, name+" "))
				require.NotNil(t, m, "the comment of %s must have the form of its neighbours: %q", name, doc)
				found = append(found, code{name, value, m[1], m[2], m[3]})
			}
		}
	}
	return found
}

// answered are the statuses that the code answers with each constant, where both stand
// in one call.
func answered(t *testing.T) map[string][]string {
	t.Helper()
	statuses := map[string][]string{}
	for _, p := range packages(t) {
		for _, f := range p.files {
			ast.Inspect(f, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok || len(call.Args) < 3 || !strings.HasSuffix(name(call.Fun), "WriteError") {
					return true
				}
				status, is := strings.CutPrefix(name(call.Args[1]), "Status")
				of, also := strings.CutPrefix(name(call.Args[2]), "Code")
				if is && also {
					statuses["Code"+of] = append(statuses["Code"+of], status)
				}
				return true
			})
		}
	}
	return statuses
}

func name(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	}
	return ""
}

// numbers are the statuses that we answer errors with, by their names in net/http.
var numbers = map[string]int{
	"BadRequest": 400, "Unauthorized": 401, "Forbidden": 403, "NotFound": 404, "MethodNotAllowed": 405, "Conflict": 409,
	"RequestEntityTooLarge": 413, "UnsupportedMediaType": 415, "MisdirectedRequest": 421, "UnprocessableEntity": 422,
	"TooManyRequests": 429, "InternalServerError": 500, "ServiceUnavailable": 503,
}

func errorsPage(t *testing.T) string {
	all := packages(t)
	answers := codesIn(t, all["shared/function"], "Code", regexp.MustCompile(`^answers ([0-9, or]+): (.+) Remedy: (.+)$`))
	require.Greater(t, len(answers), 10)
	in := answered(t)
	for _, c := range answers {
		for _, status := range in[c.name] {
			require.NotZero(t, numbers[status], status)
			require.True(t, slices.Contains(strings.FieldsFunc(c.statuses, func(r rune) bool { return r < '0' || r > '9' }), strconv.Itoa(numbers[status])),
				"%s is answered with %s", c.name, status)
		}
	}
	failures := codesIn(t, all["shared/job"], "", regexp.MustCompile(`^(says) that (.+) Remedy: (.+)$`))
	require.Len(t, failures, 5)

	var b strings.Builder
	generated(&b, "Errors", "go test ./local/docs")
	b.WriteString(`## Answers

Every error is answered with JSON, ` + "`{error, code, details, timestamp}`" + `: ` + "`error`" + ` is for people and may change, ` + "`code`" + ` is for programs and does not.
` + "`details`" + ` is a list of ` + "`{field, message}`" + `. A client that names ` + "`application/problem+json`" + ` in ` + "`Accept`" + ` gets a problem of RFC 9457, with the same
` + "`code`" + ` and ` + "`details`" + `. 429 and 503 have ` + "`Retry-After`" + `, in seconds.

| code | status | answered when | remedy |
|---|---|---|---|
`)
	for _, c := range answers {
		b.WriteString("| `" + c.value + "` | " + c.statuses + " | " + sentence(upper(c.what)) + " | " + sentence(upper(c.remedy)) + " |\n")
	}
	b.WriteString(`
## Failed jobs

A job that is ` + "`FAILED`" + ` says why in ` + "`error_code`, and in `error_message`" + ` for people.

| error_code | says that | remedy |
|---|---|---|
`)
	for _, c := range failures {
		b.WriteString("| `" + c.value + "` | " + sentence(c.what) + " | " + sentence(upper(c.remedy)) + " |\n")
	}
	b.WriteString(`
## The command

` + "`sweepline`" + ` ends with 0 when it is done, 1 when it failed, and 2 when it was called in a wrong way.
`)
	return b.String()
}

func upper(s string) string { return strings.ToUpper(s[:1]) + s[1:] }
