// Command store runs the function store as a process of its own.
package main

import (
	"github.com/zixly/sweepline/functions/store"
	"github.com/zixly/sweepline/shared/serve"
)

func main() { serve.Main("store", store.FromEnv) }
