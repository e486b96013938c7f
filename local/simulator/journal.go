package simulator

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/google/uuid"
)

const journalFile = "simulator.jsonl"

// entry is one line of the state file: a sweep as it then stood. A later line
// replaces an earlier one of the same id.
type entry struct {
	ID        string      `json:"id"`
	RunID     string      `json:"run_id"`
	Request   request     `json:"request"`
	Status    string      `json:"status"`
	Created   time.Time   `json:"created"`
	Started   time.Time   `json:"started,omitzero"`
	Completed time.Time   `json:"completed,omitzero"`
	Message   string      `json:"message,omitempty"`
	Source    string      `json:"source,omitempty"`
	Synthetic bool        `json:"synthetic,omitempty"`
	Data      *dataAnswer `json:"data,omitempty"`
	Done      int64       `json:"done,omitempty"`
}

// journal appends what must outlive the process: acceptance, before it is
// answered, and the end, before its webhook is sent. It survives a killed
// process, not a failing machine: lines are not synced. A nil journal keeps
// nothing.
type journal struct {
	file *os.File
	log  *slog.Logger
}

func (l *journal) submitted(j *sweep) { l.write(j) }

func (l *journal) ended(j *sweep) { l.write(j) }

func (l *journal) write(j *sweep) {
	if l == nil {
		return
	}
	line, err := json.Marshal(j.entry())
	if err == nil {
		_, err = l.file.Write(append(line, '\n'))
	}
	if err != nil {
		// The sweep itself goes on: only a restart would not know it.
		l.log.Error("writing simulator state failed", "trading_job_id", j.id, "error", err)
	}
}

func (l *journal) close() {
	if l != nil {
		_ = l.file.Close() // nothing is buffered
	}
}

func (j *sweep) entry() entry {
	return entry{
		ID: j.id, RunID: j.runID, Request: j.req, Status: j.status, Created: j.created,
		Started: j.started, Completed: j.completed, Message: j.message,
		Source: j.source, Synthetic: j.synthetic, Data: j.data, Done: j.done.Load(),
	}
}

// restore reads the state file, writes it anew without what is outdated, and
// lets the unfinished sweeps start again from the beginning.
func (s *Simulator) restore() error {
	if err := os.MkdirAll(s.cfg.StateDir, 0o700); err != nil {
		return fmt.Errorf("make state folder: %w", err)
	}
	path := filepath.Join(s.cfg.StateDir, journalFile)
	entries, err := readJournal(path)
	if err != nil {
		return fmt.Errorf("read simulator state: %w", err)
	}
	if extra := len(entries) - s.cfg.KeepJobs; extra > 0 {
		entries = entries[extra:]
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.journal, err = rewriteJournal(path, entries, s.log)
	if err != nil {
		return fmt.Errorf("write simulator state: %w", err)
	}
	for _, e := range entries {
		j := &sweep{
			id: e.ID, runID: e.RunID, req: e.Request, status: e.Status, created: e.Created,
			started: e.Started, completed: e.Completed, message: e.Message,
			source: e.Source, synthetic: e.Synthetic, data: e.Data,
		}
		s.stats.Submissions++
		s.byURL[j.req.WebhookURL]++
		j.faults = s.cfg.draw(s.stats.Submissions)
		if j.terminal() {
			j.done.Store(e.Done)
		} else {
			j.status, j.started = pending, time.Time{}
			s.waiting = append(s.waiting, j)
		}
		s.add(j)
	}
	s.startWaiting()
	return nil
}

// readJournal returns the newest entry of each sweep, as submitted. A line that
// does not parse is passed over: a killed process can leave a torn last one.
func readJournal(path string) ([]entry, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var entries []entry
	index := map[string]int{}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e entry
		if json.Unmarshal(lines.Bytes(), &e) != nil || uuid.Validate(e.ID) != nil ||
			uuid.Validate(e.RunID) != nil || len(e.Request.problems()) > 0 {
			continue
		}
		if i, ok := index[e.ID]; ok {
			entries[i] = e
			continue
		}
		index[e.ID] = len(entries)
		entries = append(entries, e)
	}
	return entries, lines.Err()
}

// rewriteJournal replaces the state file by entries and leaves it open for more.
func rewriteJournal(path string, entries []entry, log *slog.Logger) (*journal, error) {
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	out := bufio.NewWriter(f)
	lines := json.NewEncoder(out)
	for _, e := range entries {
		if err := lines.Encode(e); err != nil {
			return nil, errors.Join(err, f.Close())
		}
	}
	if err := out.Flush(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if err := os.Rename(path+".new", path); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &journal{file: f, log: log}, nil
}
