// Command licences reads a bill of materials (CycloneDX, JSON) on standard input and
// fails where a component's licence is not one that we may link to and give away with
// the binaries, or was not found.
package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

// allowed are licences that ask for no more than their text and a notice; MPL-2.0 also
// for the source of its own files where they are changed, and we change none.
var allowed = []string{
	"0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "ISC", "MIT", "MIT-0", "MPL-2.0", "Unlicense", "Zlib",
}

// known are those of modules, or of all below a path that ends with a slash, whose
// licence a program does not recognize; somebody has read it.
var known = map[string]string{
	"golang.org/x/":               "BSD-3-Clause", // taken for BSD-Source-Code
	"std":                         "BSD-3-Clause", // not among the modules
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
	var bom cdx.BOM
	if err := cdx.NewBOMDecoder(in, cdx.BOMFileFormatJSON).Decode(&bom); err != nil {
		return nil, 0, err
	}
	if bom.Components == nil || len(*bom.Components) == 0 {
		return nil, 0, fmt.Errorf("no components")
	}
	for _, c := range *bom.Components {
		n++
		found := licencesOf(c)
		if l := knownOf(c.Name); l != "" {
			found = []string{l}
		}
		switch {
		case len(found) == 0:
			bad = append(bad, c.Name+" "+c.Version+": no licence found")
		case !slices.ContainsFunc(found, func(l string) bool { return slices.Contains(allowed, l) }):
			bad = append(bad, c.Name+" "+c.Version+": "+strings.Join(found, ", "))
		}
	}
	return bad, n, nil
}

func licencesOf(c cdx.Component) (found []string) {
	take := func(ls *cdx.Licenses) {
		if ls == nil {
			return
		}
		for _, l := range *ls {
			switch {
			case l.Expression != "":
				found = append(found, l.Expression)
			case l.License != nil && l.License.ID != "":
				found = append(found, l.License.ID)
			case l.License != nil:
				found = append(found, l.License.Name)
			}
		}
	}
	take(c.Licenses)
	if c.Evidence != nil {
		take(c.Evidence.Licenses)
	}
	return found
}
