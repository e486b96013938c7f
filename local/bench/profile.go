package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
)

// profileSpan is how many seconds each of a burst's profiles takes: it ends when asked
// for, not when the burst does.
const profileSpan = 3

// takeProfile profiles the process behind the admin port until over is closed, and a
// few seconds more, into prefix-1.pprof and on, which "go tool pprof" reads as one; the
// allocations since its start go into prefix-allocs.pprof.
func takeProfile(ctx context.Context, admin, prefix string, over <-chan struct{}) error {
	old, err := filepath.Glob(prefix + "-*.pprof")
	if err != nil {
		return fmt.Errorf("take profile: %w", err)
	}
	for _, file := range old { // of a longer run
		if err := os.Remove(file); err != nil {
			return fmt.Errorf("take profile: %w", err)
		}
	}
	for n, more := 1, true; more; n++ {
		if err := keepProfile(ctx, fmt.Sprintf("%s/debug/pprof/profile?seconds=%d", admin, profileSpan), fmt.Sprintf("%s-%d.pprof", prefix, n)); err != nil {
			return err
		}
		select {
		case <-over:
			more = false
		default:
		}
	}
	return keepProfile(ctx, admin+"/debug/pprof/allocs", prefix+"-allocs.pprof")
}

func keepProfile(ctx context.Context, url, file string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return fmt.Errorf("ask for profile: %w", err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("ask for profile: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("ask for profile: answered with %d", resp.StatusCode)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
		return fmt.Errorf("keep profile: %w", err)
	}
	f, err := os.Create(file)
	if err != nil {
		return fmt.Errorf("keep profile: %w", err)
	}
	_, err = io.Copy(f, resp.Body)
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("keep profile: %w", err)
	}
	return nil
}

// howToRead is the command that adds up the profiles of a burst in a folder.
func howToRead(folder string) string {
	return "go tool pprof -top -cum " + filepath.Join(folder, "burst-*-[0-9]*.pprof")
}
