package wait

import (
	"embed"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/zixly/sweepline/shared/admission"
)

//go:embed lua/*.lua
var sources embed.FS

// Each script is one step; its file says what it takes and returns. They begin
// with admission's library, and run on Redis 7.0, Valkey and miniredis alike.
var (
	acceptScript    = redis.NewScript(admission.Clock + read("restarts") + read("accept"))
	enterScript     = step("restarts", "enter")
	extendScript    = step("extend")
	submittedScript = step("submitted")
	putbackScript   = step("putback")
	forgetScript    = step("forget")
	endedScript     = step("turns", "ended")
	doneScript      = step("done")
	lateScript      = step("late")
	progressScript  = step("progress")
	againScript     = step("again")
	droppedScript   = step("dropped")
	dueScript       = step("due")
	turnScript      = step("turn")
	dealScript      = step("turns", "deal")
	countScript     = step("count")
)

func step(parts ...string) *redis.Script {
	source := admission.Library + read("waits")
	for _, part := range parts {
		source += read(part)
	}
	return redis.NewScript(source)
}

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
