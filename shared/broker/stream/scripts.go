package stream

import (
	_ "embed"

	"github.com/redis/go-redis/v9"
)

// Each script is one atomic step; its file says what it takes and returns. They
// run on Redis 7.0, Valkey and miniredis alike.
var (
	//go:embed lua/partition.lua
	prelude string
	//go:embed lua/commit.lua
	commitSource string
	//go:embed lua/grow.lua
	growSource string
	//go:embed lua/register.lua
	registerSource string
	//go:embed lua/takeover.lua
	takeoverSource string
	//go:embed lua/regroup.lua
	regroupSource string
	//go:embed lua/due.lua
	dueSource string
	//go:embed lua/beat.lua
	beatSource string
	//go:embed lua/fetch.lua
	fetchSource string
	//go:embed lua/retire.lua
	retireSource string
	//go:embed lua/trim.lua
	trimSource string
	//go:embed lua/purge.lua
	purgeSource string
	//go:embed lua/fill.lua
	fillSource string
	//go:embed lua/replay.lua
	replaySource string
	//go:embed lua/redrive.lua
	redriveSource string
	//go:embed lua/discard.lua
	discardSource string

	commitScript   = redis.NewScript(prelude + commitSource)
	growScript     = redis.NewScript(prelude + growSource)
	registerScript = redis.NewScript(prelude + registerSource)
	takeoverScript = redis.NewScript(prelude + takeoverSource)
	regroupScript  = redis.NewScript(prelude + regroupSource)
	dueScript      = redis.NewScript(prelude + dueSource)
	beatScript     = redis.NewScript(prelude + beatSource)
	fetchScript    = redis.NewScript(prelude + fetchSource)
	retireScript   = redis.NewScript(prelude + retireSource)
	trimScript     = redis.NewScript(prelude + trimSource)
	purgeScript    = redis.NewScript(prelude + purgeSource)
	fillScript     = redis.NewScript(prelude + fillSource)
	replayScript   = redis.NewScript(prelude + replaySource)
	redriveScript  = redis.NewScript(prelude + redriveSource)
	discardScript  = redis.NewScript(prelude + discardSource)
)
