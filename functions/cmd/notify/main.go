// Command notify runs the function notify as a process of its own.
package main

import (
	"github.com/zixly/sweepline/functions/notify"
	"github.com/zixly/sweepline/shared/serve"
)

func main() { serve.Main("notify", notify.FromEnv) }
