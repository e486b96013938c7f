package wait

import (
	"embed"
	"fmt"

	"github.com/redis/go-redis/v9"
)

//go:embed lua/*.lua
var sources embed.FS

// Each script is one atomic step; its file says what it takes and returns. They
// run on Redis 7.0, Valkey and miniredis alike.
var (
	keyScript       = load("key")
	acceptScript    = load("accept")
	beginScript     = load("begin")
	startScript     = load("start")
	extendScript    = load("extend")
	submittedScript = load("submitted")
	putbackScript   = load("putback")
	scheduleScript  = load("schedule")
	grantScript     = load("grant")
	progressScript  = load("progress")
	forgetScript    = load("forget")
	resolveScript   = load("resolve")
	doneScript      = load("done")
	lateScript      = load("late")
	leaseScript     = load("lease")
	acquireScript   = load("acquire")
	admitScript     = load("admit")
	releaseScript   = load("release")
	postponeScript  = load("postpone")
	placeScript     = load("place")
	staleScript     = load("stale")
	holdScript      = load("hold")
	reportScript    = load("report")
	allowScript     = load("allow")
	claimScript     = load("claim")
	unclaimScript   = load("unclaim")
)

func load(name string) *redis.Script {
	source, err := sources.ReadFile("lua/" + name + ".lua")
	if err != nil {
		panic(fmt.Errorf("load script: %w", err)) // the file is compiled in
	}
	return redis.NewScript(string(source))
}
