// Package docs keeps the pages of docs/reference those of the code. They are made of the
// code itself, by parsing it: comments of settings and error codes, names and help of
// metrics, the description of events. (The page of the command is made beside the command.)
package docs

import (
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the pages of docs/reference anew")

// module begins the import path of every package of ours, root is its folder.
const (
	module = "github.com/zixly/sweepline/"
	root   = "../.."
)

// TestReferenceIsCurrent compares each page with what the code says.
func TestReferenceIsCurrent(t *testing.T) {
	t.Parallel()
	for name, page := range map[string]func(*testing.T) string{
		"settings.md": settingsPage, "metrics.md": metricsPage, "errors.md": errorsPage, "events.md": eventsPage,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want, file := page(t), filepath.Join(root, "docs", "reference", name)
			if *update {
				require.NoError(t, os.WriteFile(file, []byte(want), 0o644))
			}
			have, err := os.ReadFile(file)
			require.NoError(t, err)
			is := strings.Split(string(have), "\n")
			for i, line := range strings.Split(want, "\n") { // a page is too long to be shown whole
				require.Less(t, i, len(is), "go test ./local/docs -update")
				require.Equal(t, line, is[i], "line %d: go test ./local/docs -update", i+1)
			}
			require.Len(t, have, len(want), "go test ./local/docs -update")
		})
	}
}

// pkg is one package of ours, without its tests.
type pkg struct {
	path  string // within the module
	files []*ast.File
}

// sources parses everything that runs, by the package's path within the module.
var sources = sync.OnceValues(func() (map[string]*pkg, error) {
	all, set := map[string]*pkg{}, token.NewFileSet()
	for _, top := range []string{"shared", "functions", "knative", "local"} {
		err := filepath.WalkDir(filepath.Join(root, top), func(file string, e fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if e.IsDir() && e.Name() == "testdata" {
				return filepath.SkipDir
			}
			if e.IsDir() || !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
				return nil
			}
			f, err := parser.ParseFile(set, file, nil, parser.ParseComments|parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			rel, err := filepath.Rel(root, filepath.Dir(file))
			if err != nil {
				return err
			}
			at := filepath.ToSlash(rel)
			if all[at] == nil {
				all[at] = &pkg{path: at}
			}
			all[at].files = append(all[at].files, f)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
})

func packages(t *testing.T) map[string]*pkg {
	t.Helper()
	all, err := sources()
	require.NoError(t, err)
	require.Greater(t, len(all), 50)
	return all
}

// imports are the packages of ours that a file imports, by the names that it uses.
func imports(f *ast.File) map[string]string {
	names := map[string]string{}
	for _, i := range f.Imports {
		text, err := strconv.Unquote(i.Path.Value)
		if err != nil || !strings.HasPrefix(text, module) {
			continue
		}
		name := path.Base(text)
		if i.Name != nil {
			name = i.Name.Name
		}
		names[name] = strings.TrimPrefix(text, module)
	}
	return names
}

// text is the value of a string literal, also of several that are joined.
func text(e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		s, err := strconv.Unquote(e.Value)
		return s, err == nil && e.Kind == token.STRING
	case *ast.BinaryExpr:
		a, ok := text(e.X)
		b, also := text(e.Y)
		return a + b, ok && also
	}
	return "", false
}

// sentence is a comment in one line, for a cell of a table.
func sentence(c string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(c), " "), "|", `\|`)
}

// generated heads each page.
func generated(b *strings.Builder, title, by string) {
	b.WriteString("<!-- Made by `" + by + " -update`; change the code, not this page. -->\n\n# " + title + "\n\n")
}
