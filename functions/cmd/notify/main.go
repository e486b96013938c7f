// Command notify runs the function notify as a process of its own.
package main

import (
	"github.com/zixly/sweepline/functions/notify"
	"github.com/zixly/sweepline/shared/function"
)

func main() { function.Main("notify", notify.FromEnv) }
