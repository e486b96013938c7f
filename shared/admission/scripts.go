package admission

import (
	"context"
	"embed"
	"fmt"
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/zixly/sweepline/shared/redisclient"
)

//go:embed lua/*.lua
var sources embed.FS

// Clock begins a script that needs no more than the time; Library one that
// decides on slots, calls, breakers or the queue. lua/*.lua say what they define.
var (
	Clock   = sync.OnceValue(func() string { return redisclient.Lua(&sources, "clock") })
	Library = sync.OnceValue(func() string {
		return redisclient.Lua(&sources, "clock", "limits", "budget", "breaker", "queue")
	})
)

var (
	askScript      = redisclient.NewScript(Library, &sources, "ask")
	tryScript      = redisclient.NewScript(Library, &sources, "try")
	reportScript   = redisclient.NewScript(Library, &sources, "report")
	positionScript = redisclient.NewScript(Library, &sources, "position")
)

// Run runs a script that was built upon Clock or Library; args follow what those
// take.
func (a *Admission) Run(ctx context.Context, s *redisclient.Script, args ...any) *redis.Cmd {
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
