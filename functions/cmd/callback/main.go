// Command callback runs the function callback as a process of its own.
package main

import (
	"github.com/zixly/sweepline/functions/callback"
	"github.com/zixly/sweepline/shared/function"
)

func main() { function.Main("callback", callback.FromEnv) }
