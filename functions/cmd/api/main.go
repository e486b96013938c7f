// Command api runs the function api as a process of its own.
package main

import (
	"github.com/zixly/sweepline/functions/api"
	"github.com/zixly/sweepline/shared/function"
)

func main() { function.Main("api", api.FromEnv) }
