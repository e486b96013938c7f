// Command vulndb makes a database for govulncheck of a checkout of golang.org/x/vulndb,
// for where vuln.go.dev cannot be reached. The format is that of
// https://go.dev/doc/security/vuln/database#api.
//
//	vulndb CHECKOUT OUT
package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

type entry struct {
	ID       string    `json:"id"`
	Modified time.Time `json:"modified"` // empty in a checkout, as a rule
	Aliases  []string  `json:"aliases,omitempty"`
	Affected []struct {
		Package struct{ Name string }
	} `json:"affected"`
}

type vuln struct {
	ID       string    `json:"id"`
	Modified time.Time `json:"modified"`
	Aliases  []string  `json:"aliases,omitempty"`
}

type module struct {
	Path  string `json:"path"`
	Vulns []vuln `json:"vulns"`
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: vulndb CHECKOUT OUT")
		os.Exit(2)
	}
	last, n, err := convert(filepath.Join(os.Args[1], "data", "osv"), os.Args[2])
	if err != nil {
		fmt.Fprintln(os.Stderr, "vulndb:", err)
		os.Exit(1)
	}
	fmt.Printf("%d reports, the last %s\n", n, last)
}

// convert returns the name of the last report and how many there are.
func convert(from, to string) (last string, n int, err error) {
	files, err := filepath.Glob(filepath.Join(from, "GO-*.json"))
	if err != nil || len(files) == 0 {
		return "", 0, fmt.Errorf("no reports in %s", from)
	}
	for _, dir := range []string{"index", "ID"} {
		if err := os.MkdirAll(filepath.Join(to, dir), 0o755); err != nil {
			return "", 0, err
		}
	}
	var newest time.Time
	var all []vuln
	of := map[string][]vuln{}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			return "", 0, err
		}
		var e entry
		if err := json.Unmarshal(raw, &e); err != nil {
			return "", 0, fmt.Errorf("%s: %w", file, err)
		}
		if err := os.WriteFile(filepath.Join(to, "ID", e.ID+".json"), raw, 0o600); err != nil {
			return "", 0, err
		}
		if e.Modified.After(newest) {
			newest = e.Modified
		}
		all = append(all, vuln{e.ID, e.Modified, e.Aliases})
		var paths []string
		for _, a := range e.Affected {
			paths = append(paths, a.Package.Name)
		}
		slices.Sort(paths)
		for _, path := range slices.Compact(paths) {
			of[path] = append(of[path], vuln{ID: e.ID, Modified: e.Modified})
		}
	}
	var modules []module
	for path, vulns := range of {
		modules = append(modules, module{path, vulns})
	}
	slices.SortFunc(modules, func(a, b module) int { return cmp.Compare(a.Path, b.Path) })
	slices.SortFunc(all, func(a, b vuln) int { return strings.Compare(a.ID, b.ID) })
	for name, what := range map[string]any{"db": map[string]time.Time{"modified": newest}, "modules": modules, "vulns": all} {
		raw, err := json.Marshal(what)
		if err != nil {
			return "", 0, err
		}
		if err := os.WriteFile(filepath.Join(to, "index", name+".json"), raw, 0o600); err != nil {
			return "", 0, err
		}
	}
	return all[len(all)-1].ID, len(files), nil
}
