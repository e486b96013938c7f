// Command dashboard runs the function dashboard as a process of its own.
package main

import (
	"github.com/zixly/sweepline/functions/dashboard"
	"github.com/zixly/sweepline/shared/function"
)

func main() { function.Main("dashboard", dashboard.FromEnv) }
