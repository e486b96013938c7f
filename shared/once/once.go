// Package once remembers what is to happen once, over any number of processes:
// the job of an idempotency key, and claims on work that must be done once, such as
// notifying a channel; and what ended before its time, such as sessions. receive uses
// the keys, notify the claims, the dashboard the revocations.
//
// Each answer is one step in Redis and touches one key, or two of one hash tag.
// Times to live run on the clock of Redis.
package once

import (
	"embed"
	"errors"

	"github.com/redis/go-redis/v9"

	"github.com/zixly/sweepline/shared/redisclient"
)

// Once is safe for concurrent use.
type Once struct {
	redis   redis.Cmdable
	scripts redis.Scripter
	prefix  string
}

// New does no I/O. prefix begins every key; scripts is the client, or a writer that
// sends the steps of many callers together.
func New(client redis.Cmdable, scripts redis.Scripter, prefix string) (*Once, error) {
	if client == nil || scripts == nil {
		return nil, errors.New("once: redis client is required")
	}
	return &Once{redis: client, scripts: scripts, prefix: prefix}, nil
}

//go:embed lua/*.lua
var sources embed.FS

var (
	keyScript     = script("key")
	claimScript   = script("claim")
	revokeScript  = script("revoke")
	unclaimScript = script("unclaim")
)

func script(name string) *redisclient.Script {
	return redisclient.NewScript(nil, &sources, name)
}
