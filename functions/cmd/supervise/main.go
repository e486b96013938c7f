// Command supervise runs the function supervise as a process of its own.
package main

import (
	"github.com/zixly/sweepline/functions/supervise"
	"github.com/zixly/sweepline/shared/function"
)

func main() { function.Main("supervise", supervise.FromEnv) }
