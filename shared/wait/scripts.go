package wait

import (
	"embed"
	"fmt"
	"strings"

	"github.com/zixly/sweepline/shared/admission"
	"github.com/zixly/sweepline/shared/redisclient"
)

//go:embed lua/*.lua
var sources embed.FS

// Each script is one step; its file says what it takes and returns. They begin
// with admission's library or its clock, and run on Redis 7.0, Valkey and miniredis alike.
var (
	acceptScript     = clocked("restarts", "accept")
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

// step is a script that may admit jobs, or free what they hold.
func step(parts ...string) *redisclient.Script {
	return redisclient.NewScript(library, &sources, parts...)
}

// clocked is a script that needs no more than the time.
func clocked(parts ...string) *redisclient.Script {
	return redisclient.NewScript(admission.Clock, &sources, parts...)
}

// library is what scripts of steps begin with. Those that read a header are given the
// words that stand in it as one byte.
func library() string {
	words := make([]string, len(headerWords))
	for i, word := range headerWords {
		words[i] = fmt.Sprintf("%q", word)
	}
	return admission.Library() + "local header_words = {" + strings.Join(words, ", ") + "}\n" + redisclient.Lua(&sources, "waits")
}
