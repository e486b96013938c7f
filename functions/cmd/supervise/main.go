// Command supervise runs the function supervise as a process of its own.
package main

import (
	"github.com/zixly/sweepline/functions/supervise"
	"github.com/zixly/sweepline/shared/serve"
)

func main() { serve.Main("supervise", supervise.FromEnv) }
