// Package build tells what the running program is built of.
package build

import (
	"runtime/debug"
	"time"

	"github.com/zixly/sweepline/shared/rfc3339"
)

// Info is what a program is built of: the JSON of GET /version.
type Info struct {
	// Version is that of a release, or made of the commit; "dev" where nobody knows.
	Version string `json:"version"`
	// Revision is the commit, and Time when it was made; Modified says that the tree was
	// changed since. Empty where the build does not tell.
	Revision string         `json:"revision,omitempty"`
	Time     *rfc3339.Milli `json:"time,omitempty"`
	Modified bool           `json:"modified,omitempty"`
	// Go is the version of Go.
	Go string `json:"go"`
}

// Named is the version where whoever built the program named one; set before anything
// else runs.
var Named string

// Read reads what the linker has noted.
func Read() Info {
	b, _ := debug.ReadBuildInfo()
	return of(b, Named)
}

func of(b *debug.BuildInfo, named string) Info {
	i := Info{Version: named}
	if b == nil {
		b = &debug.BuildInfo{}
	}
	i.Go = b.GoVersion
	if i.Version == "" && b.Main.Version != "(devel)" {
		i.Version = b.Main.Version
	}
	if i.Version == "" {
		i.Version = "dev"
	}
	for _, s := range b.Settings {
		switch s.Key {
		case "vcs.revision":
			i.Revision = s.Value
		case "vcs.modified":
			i.Modified = s.Value == "true"
		case "vcs.time":
			if at, err := time.Parse(time.RFC3339, s.Value); err == nil {
				m := rfc3339.Milli(at)
				i.Time = &m
			}
		}
	}
	return i
}
