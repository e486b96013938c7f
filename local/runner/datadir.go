package runner

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/zixly/sweepline/shared/function"
)

// xdgDataHome is $XDG_DATA_HOME where it is set to an absolute path; the XDG
// specification says to ignore others.
func xdgDataHome() string {
	var xdg struct {
		// DataHome is the user's data folder, in which the default of --data-dir is.
		// Empty or not absolute: ~/.local/share.
		DataHome string `envconfig:"XDG_DATA_HOME"`
	}
	if function.Load(&xdg) != nil || !filepath.IsAbs(xdg.DataHome) {
		return ""
	}
	return xdg.DataHome
}

// lock keeps a second process out of dir until the returned file is closed,
// also by a crash.
func lock(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock data folder: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("another sweepline uses %s: stop it, or choose another --data-dir", dir)
	}
	return f, nil
}

// secret gives a key, such as the one that signs callback tokens: made once, kept in
// dir, so that what was signed before a restart is still taken.
func secret(dir, name string) (string, error) {
	raw, err := os.ReadFile(filepath.Join(dir, name))
	if err == nil && len(strings.TrimSpace(string(raw))) >= 32 {
		return strings.TrimSpace(string(raw)), nil
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("read %s: %w", name, err)
	}
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails, see crypto/rand
	text := base64.RawURLEncoding.EncodeToString(key)
	return text, keep(dir, name, text)
}

// keep writes a secret beside its file and renames it: a crash leaves the old one or
// the new one.
func keep(dir, name, text string) error {
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file+".new", []byte(text+"\n"), 0o600); err != nil {
		return fmt.Errorf("keep %s: %w", name, err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		return fmt.Errorf("keep %s: %w", name, err)
	}
	return nil
}

// instance names the process by its folder, which it has locked: restarted, it has
// the same name, and takes up at once what it was delivering when it was killed.
func instance(dir string) string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	sum := sha256.Sum256([]byte(dir))
	return host + "-" + hex.EncodeToString(sum[:8])
}
