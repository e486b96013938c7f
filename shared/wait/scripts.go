package wait

import (
	"embed"

	"github.com/redis/go-redis/v9"

	"github.com/zixly/sweepline/shared/admission"
	"github.com/zixly/sweepline/shared/redisclient"
)

//go:embed lua/*.lua
var sources embed.FS

// Each script is one step; its file says what it takes and returns. They begin
// with admission's library, and run on Redis 7.0, Valkey and miniredis alike.
var (
	acceptScript    = redis.NewScript(admission.Clock + redisclient.Lua(sources, "restarts", "accept"))
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
	return redis.NewScript(admission.Library + redisclient.Lua(sources, append([]string{"waits"}, parts...)...))
}
