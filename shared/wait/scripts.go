package wait

import (
	"embed"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/zixly/sweepline/shared/admission"
	"github.com/zixly/sweepline/shared/redisclient"
)

//go:embed lua/*.lua
var sources embed.FS

// Each script is one step; its file says what it takes and returns. They begin
// with admission's library, and run on Redis 7.0, Valkey and miniredis alike.
var (
	acceptScript     = redis.NewScript(admission.Clock + redisclient.Lua(sources, "restarts", "accept"))
	enterScript      = step("share", "restarts", "enter")
	extendScript     = step("extend")
	submittedScript  = step("submitted")
	requeueScript    = step("requeue")
	forgetScript     = step("forget")
	endedScript      = step("share", "admit", "ended")
	doneScript       = step("done")
	lateScript       = step("late")
	progressScript   = step("progress")
	rescheduleScript = step("reschedule")
	droppedScript    = step("dropped")
	dueScript        = step("due")
	admissionScript  = step("admission")
	grantScript      = step("share", "admit", "grant")
	countScript      = step("count")
)

func step(parts ...string) *redis.Script {
	return redis.NewScript(admission.Library + luaWords() + redisclient.Lua(sources, append([]string{"waits"}, parts...)...))
}

// luaWords gives scripts that read a header the words that stand in it as one byte.
func luaWords() string {
	words := make([]string, len(headerWords))
	for i, word := range headerWords {
		words[i] = fmt.Sprintf("%q", word)
	}
	return "local header_words = {" + strings.Join(words, ", ") + "}\n"
}
