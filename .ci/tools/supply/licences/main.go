// Command licences reads modules on standard input, a line "PATH VERSION FOLDER" each as
// go list prints them, and fails where the licence in a module's folder is not one that
// we may link to and give away with the binaries, or was not found. It needs no network:
// whatever was built is in the module cache.
package main

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/go-enry/go-license-detector/v4/licensedb"
	"github.com/go-enry/go-license-detector/v4/licensedb/api"
	"github.com/go-enry/go-license-detector/v4/licensedb/filer"
)

// sure is from which confidence on a match counts.
const sure = 0.85

// allowed are licences that ask for no more than their text and a notice; MPL-2.0 also
// for the source of its own files where they are changed, and we change none.
var allowed = []string{
	"0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "ISC", "MIT", "MIT-0", "MPL-2.0", "Unlicense", "Zlib",
}

// known are those of modules, or of all below a path that ends with a slash, whose
// licence a program does not recognize; somebody has read it.
var known = map[string]string{
	"golang.org/x/":               "BSD-3-Clause", // taken for BSD-Source-Code
	"github.com/pressly/goose/v3": "MIT",          // three lines of copyright
}

func knownOf(name string) string {
	for path, licence := range known {
		if name == path || strings.HasSuffix(path, "/") && strings.HasPrefix(name, path) {
			return licence
		}
	}
	return ""
}

func main() {
	bad, n, err := check(os.Stdin)
	if err != nil {
		fmt.Fprintln(os.Stderr, "licences:", err)
		os.Exit(2)
	}
	for _, b := range bad {
		fmt.Fprintln(os.Stderr, b)
	}
	if len(bad) > 0 {
		fmt.Fprintf(os.Stderr, "%d of %d modules: see .ci/tools/supply/licences\n", len(bad), n)
		os.Exit(1)
	}
	fmt.Printf("%d modules, all of licences that are allowed\n", n)
}

func check(in io.Reader) (bad []string, n int, err error) {
	seen := map[string]bool{}
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) != 3 || seen[f[0]] {
			continue // our own modules have no version
		}
		seen[f[0]] = true
		n++
		found := []string{knownOf(f[0])}
		if found[0] == "" {
			if found, err = detect(f[2]); err != nil {
				return nil, 0, fmt.Errorf("%s: %w", f[0], err)
			}
		}
		switch {
		case len(found) == 0:
			bad = append(bad, f[0]+" "+f[1]+": no licence found")
		case !slices.ContainsFunc(found, func(l string) bool { return slices.Contains(allowed, l) }):
			bad = append(bad, f[0]+" "+f[1]+": "+strings.Join(found, ", "))
		}
	}
	if err := lines.Err(); err != nil {
		return nil, 0, err
	}
	if n == 0 {
		return nil, 0, fmt.Errorf("no modules")
	}
	return bad, n, nil
}

// detect returns the licences that the files of a folder match, none where it has none.
func detect(dir string) ([]string, error) {
	files, err := filer.FromDirectory(dir)
	if err != nil {
		return nil, err
	}
	matches, err := licensedb.Detect(files)
	if err != nil {
		return nil, nil //nolint:nilerr // no file of a licence: said by the caller
	}
	maps.DeleteFunc(matches, func(_ string, m api.Match) bool { return m.Confidence < sure })
	return slices.Sorted(maps.Keys(matches)), nil
}
