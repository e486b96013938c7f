// Command collect runs the function collect as a process of its own.
package main

import (
	"github.com/zixly/sweepline/functions/collect"
	"github.com/zixly/sweepline/shared/function"
)

func main() { function.Main("collect", collect.FromEnv) }
