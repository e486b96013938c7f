package runner

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"

	"github.com/zixly/sweepline/functions/notify"
	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/once"
)

// sendingDir is the folder of the data folder in which each message that is being sent
// has a file.
const sendingDir = "sending"

// sending is notify's claims where Redis is in memory and forgets them with the process:
// a message that is being sent has a file, which is empty until it is known to have been
// sent, then holds the claim's note, and is removed once the job store knows of it. So
// the process after a kill knows which messages may have gone out, as it does with a
// Redis that lasts. The files are not synced: a killed process loses nothing by that, a
// machine without power may.
type sending struct {
	notify.Guard
	dir  string
	keep time.Duration

	mu sync.Mutex
	// earlier holds what an earlier process left, note by file. What that process may have
	// sent stays there, and its file in the folder, until it is known to have been sent:
	// an attempt of this process that fails says nothing about the earlier one.
	earlier map[string]string
}

// openSending reads what an earlier process left in dir's folder, and removes what is
// older than keep, as long as which the claims themselves are kept.
func openSending(dir string, g notify.Guard, keep time.Duration) (*sending, error) {
	s := &sending{Guard: g, dir: filepath.Join(dir, sendingDir), keep: keep, earlier: map[string]string{}}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return nil, fmt.Errorf("make folder of unfinished messages: %w", err)
	}
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, fmt.Errorf("read unfinished messages: %w", err)
	}
	for _, e := range entries {
		if !e.Type().IsRegular() { // none of ours
			continue
		}
		file := filepath.Join(s.dir, e.Name())
		if info, err := e.Info(); err == nil && time.Since(info.ModTime()) > keep {
			_ = os.Remove(file) // it is looked at again at the next start
			continue
		}
		note, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("read unfinished messages: %w", err)
		}
		s.earlier[e.Name()] = string(note)
	}
	return s, nil
}

// ClaimNoted is once.Again for what an earlier process may have sent, and once.Done for
// what it is known to have sent.
func (s *sending) ClaimNoted(ctx context.Context, key string, lease time.Duration) (once.Claim, string, error) {
	claim, note, err := s.Guard.ClaimNoted(ctx, key, lease)
	if err != nil || claim != once.Won {
		return claim, note, err
	}
	name := fileOf(key)
	s.mu.Lock()
	note, before := s.earlier[name]
	s.mu.Unlock()
	if before && note != "" {
		return once.Done, note, s.Guard.MarkDone(ctx, key, note, s.keep)
	}
	if before {
		return once.Again, "", nil
	}
	if err := os.WriteFile(filepath.Join(s.dir, name), nil, 0o600); err != nil {
		return 0, "", errors.Join(fmt.Errorf("note the beginning of a message: %w", err), s.Guard.Release(ctx, key))
	}
	return claim, "", nil
}

// MarkDone keeps the note first in the file, which outlives the process.
func (s *sending) MarkDone(ctx context.Context, key, note string, keep time.Duration) error {
	if err := os.WriteFile(filepath.Join(s.dir, fileOf(key)), []byte(note), 0o600); err != nil {
		return fmt.Errorf("note that a message was sent: %w", err)
	}
	s.known(fileOf(key))
	return s.Guard.MarkDone(ctx, key, note, keep)
}

// Release forgets a message that was not sent, but for one that an earlier process may
// have sent.
func (s *sending) Release(ctx context.Context, key string) error {
	name := fileOf(key)
	s.mu.Lock()
	note, before := s.earlier[name]
	s.mu.Unlock()
	if before && note == "" {
		return s.Guard.Release(ctx, key)
	}
	s.known(name)
	return errors.Join(s.Guard.Release(ctx, key), s.forget(name))
}

// known forgets what an earlier process left of a message.
func (s *sending) known(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.earlier, name)
}

// stored forgets the message that a notification in the job store tells of. Other events
// tell of none.
func (s *sending) stored(e cloudevents.Event) error {
	if e.Type() != event.JobNotified {
		return nil
	}
	n, err := event.Data[event.Notified](e)
	if err != nil {
		return err
	}
	name := n.JobID + "." + n.Channel
	s.known(name)
	return s.forget(name)
}

func (s *sending) forget(name string) error {
	if err := os.Remove(filepath.Join(s.dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forget a message: %w", err)
	}
	return nil
}

// fileOf is the file of a claim, whose key is notify/JOB/END/CHANNEL. A job ends once.
func fileOf(key string) string {
	parts := strings.Split(strings.TrimPrefix(key, "notify/"), "/")
	return parts[0] + "." + parts[len(parts)-1]
}
