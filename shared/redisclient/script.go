package redisclient

import (
	"context"
	"embed"
	"sync"

	"github.com/redis/go-redis/v9"
)

// Script is a Lua script that is put together when it is first run: a process runs few
// of the scripts that its packages know, and starts without those texts and digests.
type Script struct {
	library func() string
	sources *embed.FS
	names   []string

	once   sync.Once
	script *redis.Script
}

// NewScript makes a script of a library, which may be nil and is called once, and of
// sources as Lua puts them together.
func NewScript(library func() string, sources *embed.FS, names ...string) *Script {
	return &Script{library: library, sources: sources, names: names}
}

// Run runs the script by its digest, or by its text where Redis does not know it yet.
func (s *Script) Run(ctx context.Context, c redis.Scripter, keys []string, args ...any) *redis.Cmd {
	return s.made().Run(ctx, c, keys, args...)
}

// Eval runs the script by its text.
func (s *Script) Eval(ctx context.Context, c redis.Scripter, keys []string, args ...any) *redis.Cmd {
	return s.made().Eval(ctx, c, keys, args...)
}

func (s *Script) made() *redis.Script {
	s.once.Do(func() {
		source := ""
		if s.library != nil {
			source = s.library()
		}
		s.script = redis.NewScript(source + Lua(s.sources, s.names...))
	})
	return s.script
}
