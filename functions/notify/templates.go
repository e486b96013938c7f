package notify

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	html "html/template"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	text "text/template"
	"time"

	"github.com/zixly/sweepline/shared/job"
)

//go:embed templates/*
var embedded embed.FS

// The templates. Each may be replaced by a file of the same name.
const (
	mailText  = "mail.txt"
	mailHTML  = "mail.html"
	slackJSON = "slack.json"
)

var templateNames = []string{mailText, mailHTML, slackJSON}

// largestTemplate bounds a file.
const largestTemplate = 256 << 10

// Templates are the built-in ones, to begin one's own from.
func Templates() fs.FS {
	sub, err := fs.Sub(embedded, "templates")
	if err != nil {
		panic(err) // the folder is embedded above
	}
	return sub
}

// CheckTemplates says what is wrong with a folder of templates, as New does.
func CheckTemplates(dir string) error {
	_, err := loadTemplates(dir, slog.Default())
	return err
}

var functions = map[string]any{"figure": figure, "span": span, "table": table, "json": quote}

// quote makes a JSON string, number or object of anything.
func quote(v any) (string, error) {
	b, err := json.Marshal(v)
	return string(b), err
}

// set are templates that go together.
type set struct {
	text *text.Template
	html *html.Template
	// replaced says that files of the operator are among them.
	replaced bool
}

// templates are the ones in use, and the built-in ones to fall back on.
type templates struct {
	own, builtin set
	log          *slog.Logger
}

// loadTemplates reads the folder, if one is named, and tries every template on
// jobs that ended well, without results, and badly. Its errors name file and
// line.
func loadTemplates(dir string, log *slog.Logger) (*templates, error) {
	t := &templates{log: log}
	var err error
	if t.builtin, err = parse(nil); err != nil {
		return nil, err
	}
	t.own = t.builtin
	if dir == "" {
		return t, nil
	}
	files, err := readTemplates(dir)
	if err != nil {
		return nil, fmt.Errorf("NOTIFY_TEMPLATE_DIR: %w", err)
	}
	if t.own, err = parse(files); err != nil {
		return nil, fmt.Errorf("NOTIFY_TEMPLATE_DIR %s: %w", dir, err)
	}
	for _, m := range samples() {
		_, _, err := t.own.mail(m)
		if _, slack := t.own.slack(m); slack != nil {
			err = errors.Join(err, slack)
		}
		if err != nil {
			return nil, fmt.Errorf("NOTIFY_TEMPLATE_DIR %s, tried on a job that is %s: %w", dir, strings.ToLower(string(m.Job.Status)), err)
		}
	}
	return t, nil
}

// readTemplates reads a folder. A file of another name is a mistake, since it
// would change nothing; those that begin with a dot are Kubernetes' own.
func readTemplates(dir string) (map[string]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	files := map[string]string{}
	for _, e := range entries {
		name := e.Name()
		if strings.HasPrefix(name, ".") {
			continue
		}
		if !slices.Contains(templateNames, name) {
			return nil, fmt.Errorf("%s replaces no template; there are %s", filepath.Join(dir, name), strings.Join(templateNames, ", "))
		}
		info, err := os.Stat(filepath.Join(dir, name)) // through links, as Kubernetes mounts them
		if err != nil {
			return nil, err
		}
		if info.Size() > largestTemplate {
			return nil, fmt.Errorf("%s is larger than %d KiB", filepath.Join(dir, name), largestTemplate>>10)
		}
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return nil, err
		}
		files[name] = string(b)
	}
	return files, nil
}

// parse makes a set of the built-in templates and of the files in their place.
func parse(files map[string]string) (set, error) {
	s := set{
		text: text.New("").Funcs(functions).Option("missingkey=error"), html: html.New("").Funcs(functions).Option("missingkey=error"),
		replaced: len(files) > 0,
	}
	for _, name := range templateNames {
		source, ok := files[name]
		if !ok {
			b, err := embedded.ReadFile("templates/" + name)
			if err != nil {
				return s, fmt.Errorf("read template: %w", err)
			}
			source = string(b)
		}
		var err error
		if strings.HasSuffix(name, ".html") {
			_, err = s.html.New(name).Parse(source)
		} else {
			_, err = s.text.New(name).Parse(source)
		}
		if err != nil {
			return s, err // says "template: NAME:LINE: …"
		}
	}
	return s, nil
}

func (s set) render(name string, m message) (string, error) {
	var b bytes.Buffer
	var err error
	if strings.HasSuffix(name, ".html") {
		err = s.html.ExecuteTemplate(&b, name, m)
	} else {
		err = s.text.ExecuteTemplate(&b, name, m)
	}
	if err != nil {
		return "", fmt.Errorf("render %s: %w", name, err)
	}
	return b.String(), nil
}

// mail gives both bodies of a mail.
func (s set) mail(m message) (plain, rich string, err error) {
	plain, err = s.render(mailText, m)
	if err != nil {
		return "", "", err
	}
	rich, err = s.render(mailHTML, m)
	return plain, rich, err
}

// with makes something of a message by the operator's templates or, where they
// fail on it, by the built-in ones: a message in plain dress is better than none.
func with[T any](ctx context.Context, t *templates, m message, build func(set, message) (T, error)) (T, error) {
	v, err := build(t.own, m)
	if err == nil || !t.own.replaced {
		return v, err
	}
	t.log.WarnContext(ctx, "rendering template failed, using the built-in one", "job_id", m.Job.JobID, "error", err)
	return build(t.builtin, m)
}

// samples are messages of every kind, to try templates on.
func samples() []message {
	end := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	seconds := 90.0
	done := job.Job{
		JobID: job.DeriveID(job.DefaultTenant, "sample", end), TenantID: job.DefaultTenant, JobType: job.Type, Status: job.Completed, Ticker: "DAX",
		Parameters: job.Sweep{Ticker: "DAX", FastRange: [2]int{5, 20}, SlowRange: [2]int{20, 50}, Step: 5, MinTrades: job.DefaultMinTrades, StrategyType: job.SMA},
		Progress:   100, SweepRunID: "sample", Attempts: 1, CreatedAt: end.Add(-90 * time.Second), StartedAt: &end, CompletedAt: &end, DurationSeconds: &seconds,
		Metrics: &job.Metrics{Combinations: 2, BestScore: 1.5},
		Results: []job.Row{{Ticker: "DAX", StrategyType: job.SMA, FastPeriod: 5, SlowPeriod: 20, Score: 1.5, TotalTrades: 60}, {Ticker: "DAX", StrategyType: job.SMA, FastPeriod: 10, SlowPeriod: 20, Score: 1}},
	}
	made := done
	made.Metrics = &job.Metrics{Combinations: 2, BestScore: 1.5, Synthetic: true, Data: &job.Data{Source: "sample", Bars: 100}}
	bare := done
	bare.Metrics, bare.Results, bare.DurationSeconds = nil, []job.Row{}, nil
	failed := bare
	failed.Status, failed.ErrorCode, failed.ErrorMessage = job.Failed, job.TimedOut, `no "result" in <1h>`
	m := []message{newMessage(done, "http://localhost:8080"), newMessage(made, "http://localhost:8080"), newMessage(bare, "http://localhost:8080"), newMessage(failed, "http://localhost:8080")}
	m[0].Picture = &Picture{Src: "cid:sample", Alt: "A sample", Width: pictureWidth / 2, Height: pictureHeight / 2}
	return m
}
