// Command submit runs the function submit as a process of its own.
package main

import (
	"github.com/zixly/sweepline/functions/submit"
	"github.com/zixly/sweepline/shared/function"
)

func main() { function.Main("submit", submit.FromEnv) }
