package runner

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/robfig/cron/v3"

	"github.com/zixly/sweepline/shared/broker/manifest"
	"github.com/zixly/sweepline/shared/enqueue"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/telemetry"
)

const (
	// tenantAnnotation names whose sweeps a PingSource asks for.
	tenantAnnotation = "sweepline.dev/tenant"
	// lateness is how late a run may begin. What is later was missed: nobody expects
	// Monday's sweep on Thursday.
	lateness = 5 * time.Minute
	// missedSince bounds how far back missed runs are counted.
	missedSince = 31 * 24 * time.Hour
	// schedulesFile is where the last run of each schedule is noted, in the data folder.
	schedulesFile = "schedules.json"
)

// cronParser reads what a PingSource may have, but for seconds: a run is known by its
// minute.
var cronParser = cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor)

// schedule is a PingSource that asks for sweeps.
type schedule struct {
	// name is namespace/name, source that of its events, by Knative's rule.
	name, source string
	tenant       string
	asked        job.Request
	runs         cron.Schedule
	// zone is where people read its times.
	zone *time.Location
}

// readSchedules reads the PingSources of a folder. The error names all that is wrong.
func readSchedules(dir string, knows func(tenant string) bool) ([]schedule, error) {
	found, err := manifest.PingSources(os.DirFS(dir), "sweepline")
	if err != nil {
		return nil, fmt.Errorf("read schedules: %w", err)
	}
	var all []schedule
	var errs []error
	for _, p := range found {
		s, err := newSchedule(p, knows)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: PingSource %s: %w", p.File, s.name, err))
		}
		if slices.ContainsFunc(all, func(other schedule) bool { return other.name == s.name }) {
			errs = append(errs, fmt.Errorf("%s: PingSource %s: stands twice", p.File, s.name))
		}
		all = append(all, s)
	}
	return all, errors.Join(errs...)
}

func newSchedule(p manifest.PingSource, knows func(tenant string) bool) (schedule, error) {
	m := p.Metadata
	s := schedule{
		name: m.Namespace + "/" + m.Name, source: enqueue.PingSource(m.Namespace, m.Name),
		tenant: cmp.Or(m.Annotations[tenantAnnotation], job.DefaultTenant),
	}
	var errs []error
	text := cmp.Or(p.Spec.Schedule, "* * * * *")
	if strings.Contains(text, "@every") {
		errs = append(errs, errors.New("spec.schedule: @every is not supported"))
	} else {
		if s.zone = time.Local; p.Spec.Timezone != "" {
			s.zone, _ = time.LoadLocation(p.Spec.Timezone) // what is wrong with it is told below
			text = "CRON_TZ=" + p.Spec.Timezone + " " + text
		}
		var err error
		if s.runs, err = cronParser.Parse(text); err != nil {
			errs = append(errs, fmt.Errorf("spec.schedule and timezone: %w", err))
		}
	}
	if p.Spec.ContentType != "application/json" {
		errs = append(errs, errors.New("spec.contentType: must be application/json"))
	}
	data := []byte(p.Spec.Data)
	if p.Spec.DataBase64 != "" {
		var err error
		if data, err = base64.StdEncoding.DecodeString(p.Spec.DataBase64); err != nil || p.Spec.Data != "" {
			errs = append(errs, errors.New("spec.dataBase64: must be base64, and stand without data"))
		}
	}
	var err error
	if s.asked, err = job.ParseRequest(data); err != nil {
		errs = append(errs, fmt.Errorf("spec.data: %w", err))
	}
	if !knows(s.tenant) {
		errs = append(errs, fmt.Errorf("metadata.annotations: %s must name a tenant of TENANT_KEYS", tenantAnnotation))
	}
	return s, errors.Join(errs...)
}

// due is the latest run after last that may still begin, zero if there is none, and those
// that were missed before it.
func (s schedule) due(last, now time.Time) (run time.Time, missed []time.Time) {
	if first := now.Add(-missedSince); last.Before(first) {
		last = first
	}
	for at := s.runs.Next(last); !at.IsZero() && !at.After(now); at = s.runs.Next(at) {
		if !run.IsZero() {
			missed = append(missed, run)
		}
		run = at
	}
	if !run.IsZero() && now.Sub(run) > lateness {
		missed, run = append(missed, run), time.Time{}
	}
	return run, missed
}

// schedules runs them.
type schedules struct {
	all     []schedule
	enqueue func(ctx context.Context, tenant, key string, r job.Request) error
	log     *slog.Logger
	now     func() time.Time
	file    string

	mu sync.Mutex
	// last is the last run of each that was begun, or was seen to be missed.
	last map[string]time.Time
}

// newSchedules knows from the data folder what was run last. A schedule that is new has
// missed nothing.
func newSchedules(all []schedule, dir string, log *slog.Logger, now func() time.Time, take func(ctx context.Context, tenant, key string, r job.Request) error) (*schedules, error) {
	s := &schedules{all: all, enqueue: take, log: log, now: now, file: filepath.Join(dir, schedulesFile), last: map[string]time.Time{}}
	text, err := os.ReadFile(s.file)
	switch {
	case errors.Is(err, os.ErrNotExist):
	case err != nil:
		return nil, fmt.Errorf("read schedules: %w", err)
	default:
		if err := json.Unmarshal(text, &s.last); err != nil {
			log.Warn("schedules file not readable, missed runs are not known", "file", s.file, "error", err)
		}
	}
	for _, one := range all {
		if s.last[one.name].IsZero() {
			s.last[one.name] = now()
		}
	}
	return s, s.save()
}

func (s *schedules) save() error {
	text, err := json.MarshalIndent(s.last, "", "  ")
	if err != nil {
		return fmt.Errorf("write schedules: %w", err)
	}
	return keep(filepath.Dir(s.file), schedulesFile, string(text))
}

// noted notes that a schedule is through with all runs up to at.
func (s *schedules) noted(name string, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last[name] = at
	if err := s.save(); err != nil {
		s.log.Warn("schedules not written, a restart may tell of missed runs that were not", "error", err)
	}
}

// missed are the runs that were missed while nobody ran them, in words.
func (s *schedules) missed() (lines []string) {
	now := s.now()
	for _, one := range s.all {
		if _, missed := one.due(s.last[one.name], now); len(missed) > 0 {
			lines = append(lines, fmt.Sprintf("%s missed %d, the last at %s", one.name, len(missed), missed[len(missed)-1].In(one.zone).Format(time.DateTime+" MST")))
		}
	}
	return lines
}

// run follows all schedules until ctx ends.
func (s *schedules) run(ctx context.Context) {
	var wg sync.WaitGroup
	last := maps.Clone(s.last) // which they change
	for _, one := range s.all {
		wg.Go(func() { s.follow(ctx, one, last[one.name]) })
	}
	wg.Wait()
}

func (s *schedules) follow(ctx context.Context, one schedule, last time.Time) {
	for ctx.Err() == nil {
		now := s.now()
		run, missed := one.due(last, now)
		if len(missed) > 0 {
			s.log.WarnContext(ctx, "runs of a schedule were missed", "schedule", one.name, "runs", len(missed), "last", missed[len(missed)-1])
			s.noted(one.name, missed[len(missed)-1])
		}
		if !run.IsZero() && s.begin(ctx, one, run) {
			s.noted(one.name, run)
		}
		last = now
		next := one.runs.Next(now)
		if next.IsZero() { // such as the 30th of February
			return
		}
		// The clock may be set, or the machine sleep: look at least every minute.
		timer := time.NewTimer(min(next.Sub(s.now()), time.Minute))
		select {
		case <-ctx.Done():
			timer.Stop()
		case <-timer.C:
		}
	}
}

// begin asks for the sweep of a run, as long as it may begin. Asked for again, it is the
// same job: the key is that of the run.
func (s *schedules) begin(ctx context.Context, one schedule, run time.Time) bool {
	ctx = telemetry.Start(ctx)
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		err := s.enqueue(ctx, one.tenant, enqueue.PingKey(one.source, run), one.asked)
		if errors.Is(err, enqueue.ErrConflict) {
			err = backoff.Permanent(err) // the manifest was changed, and it ran before
		}
		return struct{}{}, err
	}, backoff.WithMaxElapsedTime(lateness-s.now().Sub(run)))
	if ctx.Err() != nil {
		return false
	}
	if err != nil {
		s.log.ErrorContext(ctx, "run of a schedule is lost", "schedule", one.name, "run", run, "error", err)
	} else {
		s.log.InfoContext(ctx, "run of a schedule begun", "schedule", one.name, "run", run, "tenant_id", one.tenant, "ticker", one.asked.Sweep.Ticker)
	}
	return true
}

// openSchedules reads the folder of schedules, where there is one.
func (l *Local) openSchedules(dir string) (err error) {
	if dir == "" || l.role == Worker {
		return nil
	}
	knows := func(tenant string) bool { return l.keys.Knows(tenant) || l.keys.Open() && tenant == job.DefaultTenant }
	all, err := readSchedules(dir, knows)
	if err != nil {
		return err
	}
	for _, s := range all {
		if err := l.notifyURLs.Check(s.asked.NotifyURL); err != nil {
			return fmt.Errorf("PingSource %s: spec.data: %w", s.name, err)
		}
	}
	l.schedules, err = newSchedules(all, l.DataDir, l.log, time.Now, func(ctx context.Context, tenant, key string, r job.Request) error {
		ctx, cancel := context.WithTimeout(ctx, 8*time.Second)
		defer cancel()
		asked := enqueue.Request{Tenant: tenant, Key: key, Sweep: r.Sweep, Labels: r.Labels, NotifyURL: r.NotifyURL, Shares: l.keys.Shares()}
		if r.Tickers != nil {
			_, err := l.enqueue.EnqueueGroup(ctx, asked, r.Tickers)
			return err
		}
		_, err := l.enqueue.Enqueue(ctx, asked)
		return err
	})
	if err != nil {
		return err
	}
	l.Missed = l.schedules.missed()
	return nil
}

// summary says how many schedules there are, and which runs next; empty without any.
func (s *schedules) summary() string {
	if s == nil {
		return ""
	}
	text := fmt.Sprint(len(s.all))
	var next time.Time
	name := ""
	for _, one := range s.all {
		if at := one.runs.Next(s.now()); !at.IsZero() && (next.IsZero() || at.Before(next)) {
			next, name = at.In(one.zone), one.name
		}
	}
	if name != "" {
		text += fmt.Sprintf(", next %s at %s", name, next.Format(time.DateTime+" MST"))
	}
	return text
}
