package docs

import (
	"go/ast"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/functions"
)

// areas are the sections of the page: the packages that declare settings, and who reads
// them where that is no function.
var areas = []struct{ title, pkg, reader string }{
	{"Every function", "shared/function", ""},
	{"Events: where they go", "shared/sink", ""},
	{"Events: seals", "shared/seal", ""},
	{"Tenants and the door", "shared/auth", ""},
	{"Waits, slots and calls of the trading API", "shared/wait", ""},
	{"The trading API", "shared/trading", ""},
	{"PostgreSQL", "shared/jobstore/postgres", ""},
	{"receive", "functions/receive", ""},
	{"submit", "functions/submit", ""},
	{"callback", "functions/callback", ""},
	{"supervise", "functions/supervise", ""},
	{"collect", "functions/collect", ""},
	{"notify", "functions/notify", ""},
	{"Addresses called at a job's end", "shared/notifyurl", ""},
	{"api and dashboard", "shared/jobs", ""},
	{"dashboard", "functions/dashboard", ""},
	{"Traces", "shared/telemetry", ""},
	{"The broker", "shared/broker", "broker"},
	{"The broker's data plane on Knative", "knative/cmd/broker", "data plane"},
	{"The controller on Knative", "knative/cmd/controller", "controller"},
	{"sweepline up", "local/runner", "`up`"},
	{"The command", "local/cmd/sweepline", "the command"},
	{"The simulator", "local/simulator", "simulator"},
	{"Tests", "shared/servers/servertest", "tests"},
}

// declaration is one field of a struct that is filled from the environment.
type declaration struct {
	variable, def, doc string
	required           bool
	readers            []string
}

// structs are a package's struct types, by name: those in functions as well.
func (p *pkg) structs() map[string]*ast.StructType {
	found := map[string]*ast.StructType{}
	for _, f := range p.files {
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.TypeSpec:
				if s, ok := n.Type.(*ast.StructType); ok {
					found[n.Name.Name] = s
				}
			case *ast.ValueSpec: // var cfg struct{…}
				if s, ok := n.Type.(*ast.StructType); ok {
					found["var "+n.Names[0].Name] = s
				}
			}
			return true
		})
	}
	return found
}

func tagOf(f *ast.Field) reflect.StructTag {
	if f.Tag == nil {
		return ""
	}
	t, err := strconv.Unquote(f.Tag.Value)
	if err != nil {
		return ""
	}
	return reflect.StructTag(t)
}

// defaultAtTheEnd says again what the column of defaults does.
var defaultAtTheEnd = regexp.MustCompile(` Defaults?:? ("[^"]*"|[0-9a-z:/.]+)\.$`)

// isAtTheBegin says again what the column of variables does.
var isAtTheBegin = regexp.MustCompile("^`[A-Z_]+` ((is|are) )?")

// declarations of one struct. A field's comment begins with its name, and may name
// others: the page names variables.
func declarations(t *testing.T, where string, s *ast.StructType, readers []string) (found []declaration) {
	t.Helper()
	variables := map[string]string{}
	for _, f := range s.Fields.List {
		if v := tagOf(f).Get("envconfig"); v != "" && len(f.Names) == 1 {
			variables[f.Names[0].Name] = v
		}
	}
	for _, f := range s.Fields.List {
		tag := tagOf(f)
		v := tag.Get("envconfig")
		if v == "" || isPresent(f.Type) {
			continue
		}
		require.Len(t, f.Names, 1, "%s: one variable, one field", where)
		name, doc := f.Names[0].Name, strings.Join(strings.Fields(f.Doc.Text()), " ")
		require.True(t, strings.HasPrefix(doc, name+" ") && strings.HasSuffix(strings.TrimSuffix(doc, ")"), "."),
			"%s: the comment of %s must be sentences, the first of which begins with its name: %q", where, name, doc)
		if tag.Get("default") != "" {
			doc = defaultAtTheEnd.ReplaceAllString(doc, "")
		}
		for other, variable := range variables {
			doc = regexp.MustCompile(`(^|[\s(])`+other+`([\s.,;:)]|$)`).ReplaceAllString(doc, "$1`"+variable+"`$2")
		}
		doc = isAtTheBegin.ReplaceAllString(doc, "")
		found = append(found, declaration{
			variable: v, def: tag.Get("default"), doc: sentence(upper(doc)), required: tag.Get("required") != "", readers: readers,
		})
	}
	return found
}

// isPresent says that a field only tells whether its variable is set.
func isPresent(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name == "Present"
	case *ast.SelectorExpr:
		return e.Sel.Name == "Present"
	}
	return false
}

// loads follows the calls from one function of a package and tells the structs, as
// "package.Name", that are given to something called Load. Methods are not followed: a
// process reads its settings before there is anything to call a method of.
type loads struct {
	all   map[string]*pkg
	seen  map[string]bool
	found map[string]bool
}

func (l *loads) from(at, name string) {
	p := l.all[at]
	if p == nil || l.seen[at+"."+name] {
		return
	}
	l.seen[at+"."+name] = true
	for _, f := range p.files {
		names := imports(f)
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == name && fn.Body != nil {
				l.body(at, fn, names)
			}
		}
	}
}

func (l *loads) body(at string, fn *ast.FuncDecl, names map[string]string) {
	typeOf := func(e ast.Expr) (string, bool) {
		switch e := e.(type) {
		case *ast.Ident:
			return at + "." + e.Name, true
		case *ast.SelectorExpr:
			x, ok := e.X.(*ast.Ident)
			if !ok || names[x.Name] == "" {
				return "", false
			}
			return names[x.Name] + "." + e.Sel.Name, true
		}
		return "", false
	}
	types := map[string]string{}
	ast.Inspect(fn.Body, func(n ast.Node) bool {
		if v, ok := n.(*ast.ValueSpec); ok {
			for _, name := range v.Names {
				if typ, ok := typeOf(v.Type); ok {
					types[name.Name] = typ
				}
			}
		}
		return true
	})
	ast.Inspect(fn.Body, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		fun := call.Fun
		if g, ok := fun.(*ast.IndexExpr); ok {
			fun = g.X
		}
		if to, ok := typeOf(fun); ok {
			i := strings.LastIndex(to, ".")
			l.from(to[:i], to[i+1:])
		}
		// Whoever is given the address of a struct of settings fills it.
		for _, a := range call.Args {
			l.given(a, types)
		}
		return true
	})
}

func (l *loads) given(a ast.Expr, types map[string]string) {
	u, ok := a.(*ast.UnaryExpr)
	if !ok {
		return
	}
	if x, ok := u.X.(*ast.Ident); ok && types[x.Name] != "" {
		l.found[types[x.Name]] = true
	}
}

// readersOf tells which functions load each struct of settings, those within others
// as well.
func readersOf(t *testing.T, all map[string]*pkg) map[string][]string {
	t.Helper()
	readers := map[string][]string{}
	for name := range functions.Names() {
		l := loads{all: all, seen: map[string]bool{}, found: map[string]bool{}}
		l.from("shared/function", "Main")
		l.from("functions/"+name, "FromEnv")
		require.NotEmpty(t, l.found, name)
		for at := range l.found {
			readers[at] = append(readers[at], name)
		}
	}
	for _, at := range slices.Collect(maps.Keys(readers)) { // sink.Config holds seal.Config
		i := strings.LastIndex(at, ".")
		p := all[at[:i]]
		if p == nil {
			continue
		}
		s := p.structs()[at[i+1:]]
		if s == nil {
			continue
		}
		for _, f := range s.Fields.List {
			sel, ok := f.Type.(*ast.SelectorExpr)
			if !ok || tagOf(f) != "" {
				continue
			}
			for _, file := range p.files {
				if in := imports(file)[sel.X.(*ast.Ident).Name]; in != "" {
					inner := in + "." + sel.Sel.Name
					readers[inner] = append(readers[inner], readers[at]...)
				}
			}
		}
	}
	order := slices.Collect(functions.Names())
	for at, names := range readers {
		slices.SortFunc(names, func(a, b string) int { return slices.Index(order, a) - slices.Index(order, b) })
		readers[at] = slices.Compact(names)
	}
	return readers
}

func settingsPage(t *testing.T) string {
	all := packages(t)
	readers := readersOf(t, all)
	area := map[string]int{}
	for i, a := range areas {
		area[a.pkg] = i
	}
	byArea := make([][]declaration, len(areas))
	for at, p := range all {
		structs := p.structs()
		for _, name := range slices.Sorted(maps.Keys(structs)) {
			where := at + "." + name
			who := readers[where]
			i, known := area[at]
			if known && areas[i].reader != "" {
				who = []string{areas[i].reader}
			}
			found := declarations(t, where, structs[name], who)
			if len(found) == 0 {
				continue
			}
			require.True(t, known, "%s has settings and no section", at)
			require.NotEmpty(t, who, "nobody loads %s", where)
			byArea[i] = append(byArea[i], found...)
		}
	}

	var b strings.Builder
	generated(&b, "Settings", "go test ./local/docs")
	b.WriteString(`Every environment variable that a process of sweepline reads, with its default and who reads it. On a laptop none has to be set.

- Durations are written as ` + "`90s`, `5m`, `1h30m`" + `; lists have commas between. A value that cannot be read ends the start, which names the variable and not
  the value.
- ` + "`-1`" + ` as a default stands for *auto*: the program decides, as the text says.
- ` + "`sweepline up`" + ` runs all functions in one process and reads what they read. It gives them ` + "`K_SINK`" + `, ` + "`REDIS_URL`" + `, ` + "`DATABASE_URL`" + ` and
  ` + "`CALLBACK_SECRET`" + ` itself where they are not set. ` + "`sweepline migrate`" + ` reads what is under *PostgreSQL*. ` + "*broker*" + ` is ` + "`sweepline up`, `sweepline broker`" + ` and the data plane on Knative.
- What processes of one pipeline must agree on: everything under *Waits*, ` + "`CALLBACK_SECRET`, `EVENT_SEAL_KEY`, `TENANT_KEYS`" + `.
- A variable that several steps read for different ends is in one row, with each meaning.

`)
	done := map[string]bool{}
	total := 0
	for i, a := range areas {
		var rows []string
		for _, d := range byArea[i] {
			if done[d.variable] {
				continue
			}
			done[d.variable] = true
			var same []declaration
			for _, of := range byArea {
				for _, other := range of {
					if other.variable == d.variable {
						same = append(same, other)
					}
				}
			}
			rows = append(rows, row(same))
		}
		require.NotEmpty(t, byArea[i], "no settings in %s", a.pkg)
		if len(rows) == 0 {
			continue
		}
		total += len(rows)
		b.WriteString("## " + a.title + "\n\n| variable | default | read by | meaning |\n|---|---|---|---|\n" + strings.Join(rows, "") + "\n")
	}
	require.Greater(t, total, 100)
	return strings.TrimSuffix(b.String(), "\n")
}

// row is the line of a variable, of all that declare it.
func row(same []declaration) string {
	var readers, defaults, docs []string
	who := map[string][]string{} // by meaning
	some := false                // the first has no default, and others have
	for _, d := range same {
		some = some || d.def != "" && same[0].def == "" && !same[0].required
		readers = append(readers, d.readers...)
		def := "`" + d.def + "`"
		if d.def == "" {
			def = ""
		}
		if d.required {
			def = "required"
		}
		if def != "" && some {
			def += " (" + readersText(d.readers) + ")"
		}
		if def != "" && !slices.Contains(defaults, def) {
			defaults = append(defaults, def)
		}
		if !slices.Contains(docs, d.doc) {
			docs = append(docs, d.doc)
		}
		who[d.doc] = append(who[d.doc], d.readers...)
	}
	meaning := docs[0]
	for _, doc := range docs[1:] {
		meaning += " *" + readersText(who[doc]) + "*: " + doc
	}
	return "| `" + same[0].variable + "` | " + strings.Join(defaults, ", ") + " | " + readersText(readers) + " | " + meaning + " |\n"
}

func readersText(names []string) string {
	all := slices.Collect(functions.Names())
	var of, others []string
	for _, n := range all {
		if slices.Contains(names, n) {
			of = append(of, n)
		}
	}
	switch missing := slices.DeleteFunc(slices.Clone(all), func(n string) bool { return slices.Contains(of, n) }); {
	case len(missing) == 0:
		of = []string{"every function"}
	case len(missing) == 1:
		of = []string{"every function but " + missing[0]}
	}
	for _, n := range names {
		if !slices.Contains(all, n) && !slices.Contains(others, n) {
			others = append(others, n)
		}
	}
	return strings.Join(append(of, others...), ", ")
}
