// Command collect runs the function collect as a process of its own.
package main

import (
	"github.com/zixly/sweepline/functions/collect"
	"github.com/zixly/sweepline/shared/serve"
)

func main() { serve.Main("collect", collect.FromEnv) }
