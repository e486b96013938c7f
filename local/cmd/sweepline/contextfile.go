package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
)

// savedContext is a server and the key for it.
type savedContext struct {
	Server string `json:"server"`
	Key    string `json:"key,omitempty"`
}

// contexts is the file of contexts.
type contexts struct {
	// Current is the one that is used where nobody names one, empty for none.
	Current  string                  `json:"current,omitempty"`
	Contexts map[string]savedContext `json:"contexts"`

	file string
}

// readContexts reads the file. One that is not there holds nothing. Keys are in it, so it
// must be its owner's alone.
func readContexts() (contexts, error) {
	c := contexts{Contexts: map[string]savedContext{}}
	dir, err := os.UserConfigDir()
	if err != nil { // there is no home: then there are no contexts
		return c, nil //nolint:nilerr // save says it
	}
	c.file = filepath.Join(dir, "sweepline", "contexts.json")
	info, err := os.Stat(c.file)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	var text []byte
	if err == nil {
		text, err = os.ReadFile(c.file)
	}
	if err != nil {
		return c, fmt.Errorf("read contexts: %w", err)
	}
	if othersRead(runtime.GOOS, info.Mode()) {
		return c, fmt.Errorf("contexts hold keys, and others can read them\nRun: chmod 600 %s", quoted(c.file))
	}
	if err := json.Unmarshal(text, &c); err != nil {
		return c, fmt.Errorf("read contexts in %s: %w\nCorrect the file, or remove it and name the contexts again", c.file, err)
	}
	if c.Contexts == nil {
		c.Contexts = map[string]savedContext{}
	}
	return c, nil
}

// othersRead reports whether a file's mode lets others than its owner at it. On Windows it
// says nothing about that, and is always 0666.
func othersRead(system string, mode fs.FileMode) bool {
	return system != "windows" && mode.Perm()&0o077 != 0
}

// changeContexts reads the contexts, has them changed and saves them: one command after the
// other, so that none of several at once loses what another has set.
func changeContexts(change func(*contexts) error) error {
	c, err := readContexts()
	if err != nil {
		return err
	}
	if c.file == "" {
		_, err := os.UserConfigDir()
		return fmt.Errorf("save contexts: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(c.file), 0o700); err != nil {
		return fmt.Errorf("save contexts: %w", err)
	}
	lock, err := os.OpenFile(c.file+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("lock contexts: %w", err)
	}
	defer func() { _ = lock.Close() }() // which ends the lock
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("lock contexts: %w", err)
	}
	if c, err = readContexts(); err != nil { // as the one before has left them
		return err
	}
	if err := change(&c); err != nil {
		return err
	}
	return c.save()
}

// save writes the file, as a whole or not at all.
func (c contexts) save() error {
	text, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return fmt.Errorf("encode contexts: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(c.file), ".contexts-*") // which is its owner's alone
	if err != nil {
		return fmt.Errorf("save contexts: %w", err)
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.Write(append(text, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), c.file)
	}
	if err != nil {
		return fmt.Errorf("save contexts: %w", err)
	}
	return nil
}

// names are those of all contexts, sorted.
func (c contexts) names() []string { return slices.Sorted(maps.Keys(c.Contexts)) }

// target is the server and key of a context.
func (c contexts) target(name string) (target, error) {
	saved, known := c.Contexts[name]
	if !known {
		return target{}, c.unknown(name)
	}
	return target{server: saved.Server, key: saved.Key, from: "the server of the context " + quoted(name)}, nil
}

func (c contexts) unknown(name string) error {
	if len(c.Contexts) == 0 {
		return usagef("there is no context %s: name one with 'sweepline context set %s --server URL'", quoted(name), quoted(name))
	}
	return usagef("there is no context %s: name one of %s", quoted(name), strings.Join(c.names(), ", "))
}
