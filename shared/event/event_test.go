package event_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/job"
)

var update = flag.Bool("update", false, "write the golden events anew")

var at = time.Date(2026, 3, 1, 12, 0, 0, 123000000, time.UTC)

func header() job.Header {
	return job.Header{
		JobID: job.DeriveID("default", "golden", at), TenantID: "default", JobType: job.Type,
		Parameters: job.Sweep{Ticker: "DAX", FastRange: [2]int{10, 50}, SlowRange: [2]int{20, 200}, Step: 5, MinTrades: 50, StrategyType: job.SMA},
		CreatedAt:  at,
	}
}

// golden builds one event of each type.
func golden(t *testing.T) map[string]cloudevents.Event {
	t.Helper()
	h := header()
	end := at.Add(2 * time.Minute)
	seconds := 120.0
	done := job.Job{
		JobID: h.JobID, TenantID: h.TenantID, JobType: h.JobType, Status: job.Completed, Ticker: "DAX", Parameters: h.Parameters,
		Progress: 100, SweepRunID: "run-1", Attempts: 1, CreatedAt: at, StartedAt: &at, CompletedAt: &end, DurationSeconds: &seconds,
		Metrics: &job.Metrics{Combinations: 1, BestScore: 1.5},
		Results: []job.Row{{Ticker: "DAX", StrategyType: job.SMA, FastPeriod: 10, SlowPeriod: 50, Score: 1.5, TotalTrades: 60}},
	}
	failed := done
	failed.Status, failed.ErrorCode, failed.ErrorMessage, failed.Results = job.Failed, job.TimedOut, "no result in 1h0m0s", []job.Row{}
	out := map[string]cloudevents.Event{}
	add := func(e cloudevents.Event, err error) {
		require.NoError(t, err)
		out[e.Type()] = e
	}
	add(event.NewRequested(event.Requested{Header: h}))
	add(event.NewAdmitted(event.Admitted{Header: h, AdmittedAt: at, Turn: 1}))
	add(event.NewSubmitted(event.Submitted{Header: h, TradingJobID: "t-1", SubmittedAt: at, EstimatedSeconds: 90, Turn: 1}))
	add(event.NewCompleted(event.Completed{Header: h, TradingJobID: "t-1", SweepRunID: "run-1", Turn: 1, SubmittedAt: &at, CompletedAt: end, Via: event.ViaCallback}))
	add(event.NewCollected(event.Collected{
		Header: h, TradingJobID: "t-1", SweepRunID: "run-1", Turn: 1, SubmittedAt: &at, CompletedAt: end, ExecutionSeconds: 80,
		CollectedAt: end.Add(time.Second), Rows: 1, Total: 2, BestScore: 1.5, Best: done.Results,
	}))
	add(event.NewFailed(event.Failed{Header: h, TradingJobID: "t-1", ErrorCode: job.TimedOut, ErrorMessage: "no result in 1h0m0s", Turn: 1, SubmittedAt: &at, FailedAt: end, Via: event.ViaDeadline}))
	add(event.NewFinished(done))
	add(event.NewFinished(failed))
	add(event.NewNotified(event.Notified{Header: h, Channel: "slack", NotifiedAt: end}))
	return out
}

func TestEventsMatchTheirSchemaAndGoldenFile(t *testing.T) {
	t.Parallel()
	events := golden(t)
	require.Len(t, events, len(event.Types()))
	for _, typ := range event.Types() {
		e := events[typ]
		raw, err := event.Schemas.ReadFile("schemas/" + typ + ".json")
		require.NoError(t, err)
		schema := compile(t, e.DataSchema(), raw)
		data, err := jsonschema.UnmarshalJSON(bytes.NewReader(e.Data()))
		require.NoError(t, err)
		require.NoError(t, schema.Validate(data), typ)
		require.Error(t, schema.Validate(map[string]any{}), "the schema of %s takes anything", typ)

		require.Equal(t, header().JobID, e.Subject())
		require.Equal(t, header().JobID, e.Extensions()[event.ExtPartitionKey])
		require.Equal(t, "default", e.Extensions()[event.ExtTenant])

		got, err := json.MarshalIndent(e, "", "  ")
		require.NoError(t, err)
		file := filepath.Join("testdata", typ+".json")
		if *update {
			require.NoError(t, os.WriteFile(file, append(got, '\n'), 0o600))
		}
		want, err := os.ReadFile(file)
		require.NoError(t, err)
		require.JSONEq(t, string(want), string(got))
	}
}

// TestLabelledJobsMatchTheirSchema: labels, groups and addresses to be called came later;
// events without them stay as they were (the golden ones).
func TestLabelledJobsMatchTheirSchema(t *testing.T) {
	t.Parallel()
	h := header()
	h.GroupID, h.Labels, h.NotifyURL = h.JobID, []string{"desk=eu", "weekly"}, "https://hooks.example.com/a"
	var events []cloudevents.Event
	add := func(e cloudevents.Event, err error) {
		require.NoError(t, err)
		events = append(events, e)
	}
	add(event.NewRequested(event.Requested{Header: h}))
	add(event.NewAdmitted(event.Admitted{Header: h, AdmittedAt: at, Turn: 1}))
	add(event.NewSubmitted(event.Submitted{Header: h, TradingJobID: "t-1", SubmittedAt: at, Turn: 1}))
	add(event.NewCompleted(event.Completed{Header: h, SweepRunID: "r", CompletedAt: at, Via: event.ViaCallback}))
	add(event.NewCollected(event.Collected{Header: h, SweepRunID: "r", CompletedAt: at, CollectedAt: at}))
	add(event.NewFailed(event.Failed{Header: h, ErrorCode: job.SweepFailed, ErrorMessage: "m", FailedAt: at, Via: event.ViaPoll}))
	add(event.NewNotified(event.Notified{Header: h, Channel: "slack", NotifiedAt: at}))
	for _, state := range []job.State{job.Completed, job.Failed} {
		add(event.NewFinished(job.Job{
			JobID: h.JobID, TenantID: h.TenantID, JobType: h.JobType, Status: state, Ticker: "DAX", Parameters: h.Parameters, CreatedAt: at,
			GroupID: h.GroupID, Labels: h.Labels, NotifyURL: h.NotifyURL, Results: []job.Row{},
		}))
	}
	require.Len(t, events, len(event.Types()))
	for _, e := range events {
		raw, err := event.Schemas.ReadFile("schemas/" + e.Type() + ".json")
		require.NoError(t, err)
		data, err := jsonschema.UnmarshalJSON(bytes.NewReader(e.Data()))
		require.NoError(t, err)
		require.NoError(t, compile(t, e.DataSchema(), raw).Validate(data), string(e.Data()))
		require.Contains(t, string(e.Data()), `"labels":["desk=eu","weekly"],"notify_url":"https://hooks.example.com/a"`)
	}
}

// TestEveryWayOfEndingMatchesItsSchema: the word for who brought the end is part of the
// events' form, whatever our constants are called.
func TestEveryWayOfEndingMatchesItsSchema(t *testing.T) {
	t.Parallel()
	matches := func(e cloudevents.Event, err error) {
		t.Helper()
		require.NoError(t, err)
		raw, err := event.Schemas.ReadFile("schemas/" + e.Type() + ".json")
		require.NoError(t, err)
		data, err := jsonschema.UnmarshalJSON(bytes.NewReader(e.Data()))
		require.NoError(t, err)
		require.NoError(t, compile(t, e.DataSchema(), raw).Validate(data), string(e.Data()))
	}
	for _, data := range []*job.Data{{}, {Source: "s", FirstDay: "2020-01-02", LastDay: "2024-12-30", Bars: 7, Hash: "sha256:0"}} {
		matches(event.NewCollected(event.Collected{Header: header(), SweepRunID: "r", CompletedAt: at, CollectedAt: at, Synthetic: true, Data: data}))
	}
	for _, via := range []event.Via{event.ViaCallback, event.ViaPoll, event.ViaJobStore} {
		matches(event.NewCompleted(event.Completed{Header: header(), TradingJobID: "t", SweepRunID: "r", CompletedAt: at, Via: via}))
	}
	for _, via := range []event.Via{
		event.ViaCallback, event.ViaPoll, event.ViaSubmit, event.ViaCollect, event.ViaDeadline, event.ViaOwner, event.ViaDeadLetter,
	} {
		matches(event.NewFailed(event.Failed{Header: header(), ErrorCode: job.SweepFailed, ErrorMessage: "m", FailedAt: at, Via: via}))
	}
}

func compile(t *testing.T, urn string, raw []byte) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	require.NoError(t, err)
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	require.NoError(t, c.AddResource(urn, doc))
	s, err := c.Compile(urn)
	require.NoError(t, err)
	return s
}

func TestIDsAreDerived(t *testing.T) {
	t.Parallel()
	first, second := golden(t), golden(t)
	for typ := range first {
		require.Equal(t, first[typ].ID(), second[typ].ID())
	}
	again, err := event.NewSubmitted(event.Submitted{Header: header(), TradingJobID: "t-2", SubmittedAt: at, Turn: 2})
	require.NoError(t, err)
	require.NotEqual(t, first[event.SweepSubmitted].ID(), again.ID())
}

func TestDataRefusesForeignData(t *testing.T) {
	t.Parallel()
	e := golden(t)[event.SweepRequested]
	d, err := event.Data[event.Requested](e)
	require.NoError(t, err)
	require.Equal(t, header(), d.Header)
	require.NoError(t, e.SetData("text/plain", "x"))
	_, err = event.Data[event.Requested](e)
	require.Error(t, err)
}

func TestDataOfTwoTenantsIsRefused(t *testing.T) {
	t.Parallel()
	h := job.Header{JobID: job.NewID(), TenantID: "acme", JobType: job.Type}
	requested, err := event.NewRequested(event.Requested{Header: h})
	require.NoError(t, err)
	_, err = event.Data[event.Requested](requested)
	require.NoError(t, err)
	finished, err := event.NewFinished(job.Job{JobID: h.JobID, TenantID: "acme", JobType: job.Type, Status: job.Failed})
	require.NoError(t, err)
	_, err = event.Data[event.Finished](finished)
	require.NoError(t, err)
	for _, tenant := range []any{"globex", nil} {
		requested.SetExtension(event.ExtTenant, tenant)
		_, err = event.Data[event.Requested](requested)
		require.ErrorIs(t, err, event.ErrTenant)
		finished.SetExtension(event.ExtTenant, tenant)
		_, err = event.Data[event.Finished](finished)
		require.ErrorIs(t, err, event.ErrTenant)
	}
}
