// Command receive runs the function receive as a process of its own.
package main

import (
	"github.com/zixly/sweepline/functions/receive"
	"github.com/zixly/sweepline/shared/serve"
)

func main() { serve.Main("receive", receive.FromEnv) }
