// Command receive runs the function receive as a process of its own.
package main

import (
	"github.com/zixly/sweepline/functions/receive"
	"github.com/zixly/sweepline/shared/function"
)

func main() { function.Main("receive", receive.FromEnv) }
