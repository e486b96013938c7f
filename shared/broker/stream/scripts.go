package stream

import (
	"embed"

	"github.com/zixly/sweepline/shared/redisclient"
)

//go:embed lua/*.lua
var sources embed.FS

// Each script is one atomic step; its file says what it takes and returns. They
// begin with partition.lua, and run on Redis 7.0, Valkey and miniredis alike.
var (
	growScript     = script("grow")
	registerScript = script("register")
	commitScript   = script("commit")
	takeoverScript = script("takeover")
	regroupScript  = script("regroup")
	dueScript      = script("due")
	beatScript     = script("beat")
	fetchScript    = script("fetch")
	retireScript   = script("retire")
	trimScript     = script("trim")
	holdScript     = script("hold")
	purgeScript    = script("purge")
	fillScript     = script("fill")
	replayScript   = script("replay")
	redriveScript  = script("redrive")
	discardScript  = script("discard")
	ratesScript    = script("rates")
)

func script(name string) *redisclient.Script {
	return redisclient.NewScript(nil, &sources, "partition", name)
}
