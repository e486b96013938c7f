package redisclient

import (
	"embed"
	"fmt"
	"strings"
)

// Lua returns the named sources of lua/NAME.lua, one after the other, as a script that
// shares code with others is put together. Comments of whole lines are left out: Redis
// need not keep them, and they go over the wire with each EVAL. A source that is not
// there is a mistake of the program: it panics.
func Lua(sources *embed.FS, names ...string) string {
	var b strings.Builder
	for _, name := range names {
		source, err := sources.ReadFile("lua/" + name + ".lua")
		if err != nil {
			panic(fmt.Errorf("load script: %w", err))
		}
		for line := range strings.Lines(string(source)) {
			if !strings.HasPrefix(strings.TrimLeft(line, " \t"), "--") {
				b.WriteString(line)
			}
		}
	}
	return b.String()
}
