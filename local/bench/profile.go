package bench

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

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

// takeProfile profiles the process behind the admin port for a time, keeps the profile
// in file, and returns the packages with the largest shares.
func takeProfile(ctx context.Context, admin, file string, span time.Duration) ([]PackageShare, error) {
	url := fmt.Sprintf("%s/debug/pprof/profile?seconds=%d", admin, max(1, int(span.Seconds())))
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("ask for profile: %w", err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask for profile: %w", err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("read profile: status %d: %w", resp.StatusCode, err)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
		return nil, fmt.Errorf("keep profile: %w", err)
	}
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		return nil, fmt.Errorf("keep profile: %w", err)
	}
	p, err := profile.Parse(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("read profile: %w", err)
	}
	return packageShares(p), nil
}

// packageShares adds a CPU profile up by package.
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
