package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/pprof"
)

// profile begins to profile this process. What it returns ends that, and leaves cpu.pprof
// and allocs.pprof, all allocations since the start, in folder.
func profile(folder string) (end func() error, err error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("keep profiles: %w", err)
	}
	cpu, err := os.Create(filepath.Join(folder, "cpu.pprof"))
	if err != nil {
		return nil, fmt.Errorf("keep profiles: %w", err)
	}
	if err := pprof.StartCPUProfile(cpu); err != nil {
		return nil, errors.Join(fmt.Errorf("profile: %w", err), cpu.Close())
	}
	return func() error {
		pprof.StopCPUProfile()
		allocs, err := os.Create(filepath.Join(folder, "allocs.pprof"))
		if err == nil {
			err = errors.Join(pprof.Lookup("allocs").WriteTo(allocs, 0), allocs.Close())
		}
		if err := errors.Join(err, cpu.Close()); err != nil {
			return fmt.Errorf("keep profiles: %w", err)
		}
		return nil
	}, nil
}
