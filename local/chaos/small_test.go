//go:build linux

package main

import (
	"encoding/xml"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSeedFillsOptions(t *testing.T) {
	t.Parallel()
	base := options{Jobs: 300, Nodes: 2, Gap: time.Second}
	base.Seed = 4
	a, err := base.fill()
	require.NoError(t, err)
	b, err := base.fill()
	require.NoError(t, err)
	require.Equal(t, a, b)
	require.Equal(t, nodes, a.Layout)
	require.False(t, a.Flush)
	base.Seed = 5
	a, err = base.fill()
	require.NoError(t, err)
	require.Equal(t, apart, a.Layout)
	require.True(t, a.Flush, "every fifth seed")
	base.FlushSet = true
	a, err = base.fill()
	require.NoError(t, err)
	require.False(t, a.Flush, "as the command line says")
	base.Layout = "elsewhere"
	_, err = base.fill()
	require.Error(t, err)
}

func TestPatternOf(t *testing.T) {
	t.Parallel()
	for key, want := range map[string]string{
		"sweepline:{w12}:job:0195f2c2-7e9c-7d50-bf7c-187ea39d85df": "sweepline:{w*}:job:*",
		"sweepline:{a/b/0}:seen:Zm9vYmFyYmF6cXV4cXV1eA":            "sweepline:{a/b/*}:seen:*",
		"sweepline:triggers": "sweepline:triggers",
	} {
		require.Equal(t, want, patternOf(key))
	}
}

func TestPeopleFindTheJob(t *testing.T) {
	t.Parallel()
	const id = "0195f2c2-7e9c-7d50-bf7c-187ea39d85df"
	p := newPeople()
	p.take(slack, `{"text":"SMA sweep of DAX completed http://host/jobs/`+id+`"}`)
	p.take(email, "SMA sweep of DAX failed: it was cancelled\r\nhttp://host/jobs/"+id+"\r\n")
	p.take(email, "hello")
	jobs, messages := p.counts()
	require.Equal(t, 1, jobs)
	require.Equal(t, 2, messages)
	told, stray := p.heard()
	require.Equal(t, 1, stray)
	require.True(t, told[id][slack][0].Completed)
	require.False(t, told[id][email][0].Completed)
}

// TestManifestsNameOurLinks: every Service of the pipeline's own manifests gets a
// uri, and its path is kept.
func TestManifestsNameOurLinks(t *testing.T) {
	t.Chdir("../..") // as the command runs
	w := &world{links: newLinks(&ports{given: map[int]bool{}}), config: filepath.Join(t.TempDir(), "config")}
	t.Cleanup(w.links.close)
	mains, err := filepath.Glob("functions/cmd/*/main.go")
	require.NoError(t, err)
	for _, m := range mains {
		_, err := w.links.open("fn-"+filepath.Base(filepath.Dir(m)), "brokers", "127.0.0.1:1")
		require.NoError(t, err)
	}
	require.NoError(t, w.writeManifests())
	raw, err := os.ReadFile(filepath.Join(w.config, "200-triggers.yaml"))
	require.NoError(t, err)
	require.NotContains(t, string(raw), "ref:")
	require.Contains(t, string(raw), "uri: http://"+w.links.byName["fn-store<brokers"].proxy.Listen+"\n")
	require.Contains(t, string(raw), w.links.byName["fn-supervise<brokers"].proxy.Listen+"/dead-letter")
	delete(w.links.byName, "fn-store<brokers")
	require.ErrorContains(t, w.writeManifests(), "no function store")
}

// TestClockOverlay: this Go's package time is as the moved clock expects it.
func TestClockOverlay(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	overlay, err := clockOverlay(t.Context(), dir)
	require.NoError(t, err)
	source, err := os.ReadFile(filepath.Join(filepath.Dir(overlay), "time.go"))
	require.NoError(t, err)
	require.Contains(t, string(source), clockMoved)
}

func TestRecording(t *testing.T) {
	t.Parallel()
	r := &recording{}
	for i := range 30 {
		v := map[string]float64{"memory/flat": 100, "memory/grows": float64(10 * i)}
		if i == 5 {
			v["memory/late & last"] = 1
		}
		r.add(time.Duration(i)*time.Second, v)
	}
	grown := r.growing()
	require.Len(t, grown, 1)
	require.Contains(t, grown[0], "memory/grows")
	dir := t.TempDir()
	require.NoError(t, r.write(dir))
	csv, err := os.ReadFile(filepath.Join(dir, "steady.csv"))
	require.NoError(t, err)
	require.Len(t, strings.Split(strings.TrimSpace(string(csv)), "\n"), 31)
	svg, err := os.ReadFile(filepath.Join(dir, "steady.svg"))
	require.NoError(t, err)
	require.NoError(t, xml.Unmarshal(svg, new(struct{ XMLName xml.Name })))
	require.Equal(t, 3, strings.Count(string(svg), "<polyline"))
}
