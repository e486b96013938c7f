// Command status runs the function status as a process of its own.
package main

import (
	"github.com/zixly/sweepline/functions/status"
	"github.com/zixly/sweepline/shared/function"
)

func main() { function.Main("status", status.FromEnv) }
