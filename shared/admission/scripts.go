package admission

import (
	"context"
	"embed"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"
)

//go:embed lua/*.lua
var sources embed.FS

// Clock begins a script that needs no more than the time; Library one that
// decides on slots, calls, breakers or the line. lua/*.lua say what they define.
var (
	Clock   = read("clock")
	Library = Clock + read("limits") + read("budget") + read("breaker") + read("line")
)

var (
	askScript    = redis.NewScript(Library + read("ask"))
	tryScript    = redis.NewScript(Library + read("try"))
	reportScript = redis.NewScript(Library + read("report"))
	placeScript  = redis.NewScript(Library + read("place"))
)

// read returns a source without its full-line comments, which Redis need not keep.
func read(name string) string {
	source, err := sources.ReadFile("lua/" + name + ".lua")
	if err != nil {
		panic(fmt.Errorf("load script: %w", err)) // the file is compiled in
	}
	var b strings.Builder
	for line := range strings.Lines(string(source)) {
		if !strings.HasPrefix(line, "--") {
			b.WriteString(line)
		}
	}
	return b.String()
}

// Run runs a script that was built upon Clock or Library; args follow what those
// take.
func (a *Admission) Run(ctx context.Context, s *redis.Script, args ...any) *redis.Cmd {
	return s.Run(ctx, a.redis, []string{a.base}, append([]any{a.stamp(), a.limits}, args...)...)
}

// stamp is the time for a script: empty, so that Redis takes its own, but where a
// test holds the clock.
func (a *Admission) stamp() string {
	if a.now == nil {
		return ""
	}
	return fmt.Sprint(a.now().UnixMilli())
}
