package runner

import (
	"fmt"
	"os"
	"sync"

	"github.com/zixly/sweepline/shared/function"
)

var environment sync.Mutex

// load fills the steps' Configs from the environment, as their own processes
// do, with set in place of what stands there: addresses that only the runner
// knows. The environment is as before when it returns.
func load(set map[string]string, configs ...any) error {
	environment.Lock()
	defer environment.Unlock()
	for name, value := range set {
		before, was := os.LookupEnv(name) //nolint:forbidigo // put back below
		if err := os.Setenv(name, value); err != nil {
			return fmt.Errorf("set %s: %w", name, err)
		}
		defer func() {
			if was {
				_ = os.Setenv(name, before)
			} else {
				_ = os.Unsetenv(name)
			}
		}()
	}
	return function.Load(configs...)
}
