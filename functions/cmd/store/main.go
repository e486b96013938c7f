// Command store runs the function store as a process of its own.
package main

import (
	"github.com/zixly/sweepline/functions/store"
	"github.com/zixly/sweepline/shared/function"
)

func main() { function.Main("store", store.FromEnv) }
