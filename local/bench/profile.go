package bench

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/pprof/profile"
)

// profileLines is how many packages are listed.
const profileLines = 25

// PackageShare is a package's part of the CPU time, 0 to 1.
type PackageShare struct {
	Package string `json:"package"`
	// Own is spent in the package's functions, Cumulative also in what they call.
	Own        float64 `json:"own"`
	Cumulative float64 `json:"cumulative"`
}

// profileSpan is how long each of the profiles is that are put together.
const profileSpan = 3

// takeProfile profiles the process behind the admin port until over is closed, and a
// few seconds more, keeps the profile in file, one of allocations beside it, and returns the packages with the
// largest shares.
func takeProfile(ctx context.Context, admin, file string, over <-chan struct{}) ([]PackageShare, error) {
	var parts []*profile.Profile
	for {
		p, err := fetchProfile(ctx, fmt.Sprintf("%s/debug/pprof/profile?seconds=%d", admin, profileSpan))
		if err != nil {
			return nil, err
		}
		parts = append(parts, p)
		select {
		case <-over:
		default:
			continue
		}
		break
	}
	p, err := profile.Merge(parts)
	if err != nil {
		return nil, fmt.Errorf("join profiles: %w", err)
	}
	if err := keepProfile(p, file); err != nil {
		return nil, err
	}
	allocs, err := fetchProfile(ctx, admin+"/debug/pprof/allocs")
	if err != nil {
		return nil, err
	}
	if err := keepProfile(allocs, strings.TrimSuffix(file, ".pprof")+"-allocs.pprof"); err != nil {
		return nil, err
	}
	return packageShares(p), nil
}

func keepProfile(p *profile.Profile, file string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
		return fmt.Errorf("keep profile: %w", err)
	}
	f, err := os.Create(file)
	if err != nil {
		return fmt.Errorf("keep profile: %w", err)
	}
	if err := errors.Join(p.Write(f), f.Close()); err != nil {
		return fmt.Errorf("keep profile: %w", err)
	}
	return nil
}

func fetchProfile(ctx context.Context, url string) (*profile.Profile, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("ask for profile: %w", err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask for profile: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("ask for profile: answered with %d", resp.StatusCode)
	}
	p, err := profile.Parse(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("read profile: %w", err)
	}
	return p, nil
}

// runtimeParts are parts of the runtime's work that are listed beside packages, each
// with functions that begin it.
var runtimeParts = map[string]string{
	"runtime.gcBgMarkWorker": "(garbage collection)", "runtime.gcAssistAlloc": "(garbage collection)", "runtime.bgsweep": "(garbage collection)",
	"runtime.bgscavenge": "(garbage collection)", "runtime.mallocgc": "(allocation)", "runtime.schedule": "(scheduler)", "runtime.findRunnable": "(scheduler)",
	"runtime.memmove": "(copying)", "runtime.memclrNoHeapPointers": "(clearing)", "runtime.wakep": "(waking threads)", "runtime.startm": "(waking threads)",
	"runtime.futex": "(futex)", "internal/runtime/syscall/linux.Syscall6": "(system calls)", "runtime.mapassign": "(maps)",
}

// packageShares adds a CPU profile up by package, and by parts of the runtime.
func packageShares(p *profile.Profile) []PackageShare {
	own, cumulative, total := map[string]int64{}, map[string]int64{}, int64(0)
	for _, s := range p.Sample {
		v := s.Value[len(s.Value)-1] // CPU time
		total += v
		seen := map[string]bool{}
		leaf := true
		for _, l := range s.Location {
			for _, line := range l.Line { // what is inlined first
				pkg := packageOf(line.Function.Name)
				if part := runtimeParts[line.Function.Name]; part != "" && !seen[part] {
					seen[part] = true
					cumulative[part] += v
				}
				if leaf {
					own[pkg] += v
					leaf = false
				}
				if !seen[pkg] {
					seen[pkg] = true
					cumulative[pkg] += v
				}
			}
		}
	}
	if total == 0 {
		return nil
	}
	var out []PackageShare
	for pkg, v := range cumulative {
		out = append(out, PackageShare{pkg, float64(own[pkg]) / float64(total), float64(v) / float64(total)})
	}
	slices.SortFunc(out, func(a, b PackageShare) int {
		switch {
		case a.Cumulative > b.Cumulative:
			return -1
		case a.Cumulative < b.Cumulative:
			return 1
		}
		return strings.Compare(a.Package, b.Package)
	})
	return out[:min(len(out), profileLines)]
}

// packageOf is a function's import path: all before the first dot after the last
// slash. Type arguments may hold both.
func packageOf(function string) string {
	name, _, _ := strings.Cut(function, "[")
	slash := strings.LastIndexByte(name, '/') + 1
	pkg, _, _ := strings.Cut(name[slash:], ".")
	return name[:slash] + pkg
}
