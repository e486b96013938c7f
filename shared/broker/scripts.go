package broker

import (
	_ "embed"

	"github.com/redis/go-redis/v9"
)

// Each script is one atomic step; its file says what it takes and returns. They
// run on Redis 7.0, Valkey and miniredis alike.
var (
	//go:embed lua/append.lua
	appendSource string
	//go:embed lua/postpone.lua
	postponeSource string
	//go:embed lua/lease.lua
	leaseSource string
	//go:embed lua/renew.lua
	renewSource string
	//go:embed lua/touch.lua
	touchSource string
	//go:embed lua/finish.lua
	finishSource string
	//go:embed lua/bury.lua
	burySource string
	//go:embed lua/redrive.lua
	redriveSource string
	//go:embed lua/discard.lua
	discardSource string
	//go:embed lua/trim.lua
	trimSource string
	//go:embed lua/retire.lua
	retireSource string
	//go:embed lua/lead.lua
	leadSource string
	//go:embed lua/resign.lua
	resignSource string
	//go:embed lua/replay.lua
	replaySource string

	appendScript   = redis.NewScript(appendSource)
	postponeScript = redis.NewScript(postponeSource)
	leaseScript    = redis.NewScript(leaseSource)
	renewScript    = redis.NewScript(renewSource)
	touchScript    = redis.NewScript(touchSource)
	finishScript   = redis.NewScript(finishSource)
	buryScript     = redis.NewScript(burySource)
	redriveScript  = redis.NewScript(redriveSource)
	discardScript  = redis.NewScript(discardSource)
	trimScript     = redis.NewScript(trimSource)
	retireScript   = redis.NewScript(retireSource)
	leadScript     = redis.NewScript(leadSource)
	resignScript   = redis.NewScript(resignSource)
	replayScript   = redis.NewScript(replaySource)
)
