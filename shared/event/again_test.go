package event_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/job"
)

func TestAgainIsTheSameStepUnderAnotherID(t *testing.T) {
	t.Parallel()
	h := header()
	e, err := event.NewFailed(event.Failed{Header: h, ErrorCode: job.TimedOut, FailedAt: at, Via: event.ViaDeadline})
	require.NoError(t, err)
	second := event.Again(e, 2)
	require.Equal(t, h.JobID+"/failed/again-2", second.ID())
	require.Equal(t, h.JobID+"/failed", e.ID(), "the event itself was changed")
	require.Equal(t, e.Data(), second.Data())
	require.Equal(t, e.Type(), second.Type())
	require.Equal(t, e.Subject(), second.Subject())
	require.Equal(t, h.JobID+"/failed/again-3", event.Again(second, 3).ID(), "suffixes do not pile up")
	require.Equal(t, e.ID(), event.Again(second, 0).ID())
	require.Equal(t, h.JobID+"/failed/again-2", event.Follow(second, e).ID())
	require.Equal(t, e.ID(), event.Follow(e, e).ID())
	for id, want := range map[string]struct {
		id string
		n  int
	}{
		"j/failed":          {"j/failed", 0},
		"j/failed/again-7":  {"j/failed", 7},
		"j/failed/again-0":  {"j/failed/again-0", 0},
		"j/failed/again-x":  {"j/failed/again-x", 0},
		"j/admitted/2":      {"j/admitted/2", 0},
		"j/again-1/again-2": {"j/again-1", 2},
	} {
		original, n := event.Original(id)
		require.Equal(t, want.id, original, id)
		require.Equal(t, want.n, n, id)
	}
}

// An end that came late is a line of its own in the timeline: under the id of
// the end that won it would be dropped as a repeat.
func TestALateEndHasAnIDOfItsOwn(t *testing.T) {
	t.Parallel()
	h := header()
	won, err := event.NewFailed(event.Failed{Header: h, ErrorCode: job.TimedOut, FailedAt: at, Via: event.ViaDeadline})
	require.NoError(t, err)
	late, err := event.NewFailed(event.Failed{Header: h, ErrorCode: job.SweepFailed, FailedAt: at, Via: event.ViaCallback, Late: true})
	require.NoError(t, err)
	require.NotEqual(t, won.ID(), late.ID())
	require.Equal(t, h.JobID+"/failed/late", late.ID())
	late, err = event.NewCompleted(event.Completed{Header: h, SweepRunID: "r", CompletedAt: at, Via: event.ViaCallback, Late: true})
	require.NoError(t, err)
	require.Equal(t, h.JobID+"/completed/late", late.ID())
}
