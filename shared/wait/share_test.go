package wait_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/wait"
)

// ask takes a job in and enters it.
func ask(t *testing.T, w *wait.Waits, h job.Header, tenants int) wait.Decision {
	t.Helper()
	_, err := w.Accept(t.Context(), h, "print", wait.Shares{Tenants: tenants})
	require.NoError(t, err)
	e, err := w.Enter(t.Context(), h)
	require.NoError(t, err)
	return e.Decision
}

// crowd asks for n jobs of a tenant and returns those that were let in.
func crowd(t *testing.T, w *wait.Waits, tenant string, n, tenants int) []job.Header {
	t.Helper()
	var in []job.Header
	for range n {
		h := header(tenant)
		if ask(t, w, h, tenants) == wait.SubmitNow {
			in = append(in, h)
		}
	}
	return in
}

func admit(t *testing.T, w *wait.Waits) []string {
	t.Helper()
	d, err := w.AdmitNext(t.Context(), 10, 10, time.Minute)
	require.NoError(t, err)
	var tenants []string
	for _, r := range d.Admitted {
		tenants = append(tenants, r.Header.TenantID)
	}
	return tenants
}

// holders are the tenants of the jobs that are neither queued nor ended.
func holders(t *testing.T, w *wait.Waits) []string {
	t.Helper()
	var tenants []string
	require.NoError(t, w.Walk(t.Context(), 100, func(all []wait.Summary) error {
		for _, s := range all {
			r, err := w.Get(t.Context(), s.JobID)
			require.NoError(t, err)
			if r.State == wait.Submitting || r.State == wait.Parked && !r.AdmittedAt.IsZero() {
				tenants = append(tenants, r.Header.TenantID)
			}
		}
		return nil
	}))
	slices.Sort(tenants)
	return tenants
}

// TestEndlessSweepsLeaveRoom: a tenant whose sweeps never end has all slots but those
// that are kept, and another one starts at once.
func TestEndlessSweepsLeaveRoom(t *testing.T) {
	t.Parallel()
	eachRedis(t, func(t *testing.T, url string) {
		w, c := open(t, url, wait.Config{MaxConcurrent: 5, SlotsKept: wait.Auto})
		require.Len(t, crowd(t, w, "acme", 20, 2), 4)
		require.Empty(t, admit(t, w), "the last one is not acme's")
		require.Equal(t, wait.SubmitNow, ask(t, w, header("globex"), 2), "it overtakes acme's, who may not have it")
		require.Equal(t, wait.Queued, ask(t, w, header("globex"), 2))
		c.advance(time.Hour)
		require.Empty(t, admit(t, w), "all slots are taken")
	})
}

// TestNoSlotIsKeptForNobody: who is alone has all slots, and so have tenants who all
// hold some.
func TestNoSlotIsKeptForNobody(t *testing.T) {
	t.Parallel()
	eachRedis(t, func(t *testing.T, url string) {
		for name, c := range map[string]struct {
			kept, tenants int
		}{
			"alone": {wait.Auto, 1}, "number unknown": {wait.Auto, 0}, "switched off": {0, 2},
		} {
			w, _ := open(t, url, wait.Config{MaxConcurrent: 5, SlotsKept: c.kept})
			require.Len(t, crowd(t, w, "acme", 7, c.tenants), 5, name)
		}
		w, _ := open(t, url, wait.Config{MaxConcurrent: 5, SlotsKept: wait.Auto})
		require.Len(t, crowd(t, w, "globex", 1, 2), 1)
		require.Len(t, crowd(t, w, "acme", 7, 2), 4, "globex has one")
		w, _ = open(t, url, wait.Config{MaxConcurrent: 1, SlotsKept: wait.Auto})
		require.Len(t, crowd(t, w, "acme", 7, 2), 1, "one slot cannot be shared")
	})
}

// TestKeptSlotsAreGivenBack: the slot of a tenant's only sweep is kept again once that
// has ended, in the step that ends it; a slot of a tenant with many is its own again.
func TestKeptSlotsAreGivenBack(t *testing.T) {
	t.Parallel()
	eachRedis(t, func(t *testing.T, url string) {
		w, _ := open(t, url, wait.Config{MaxConcurrent: 4, SlotsKept: wait.Auto})
		acme := crowd(t, w, "acme", 7, 3)
		require.Len(t, acme, 3)
		globex := crowd(t, w, "globex", 2, 3)
		require.Len(t, globex, 1)
		end := func(h job.Header) {
			_, err := w.Resolve(t.Context(), h.JobID, wait.End{RunID: "run", AdmitNext: true})
			require.NoError(t, err)
		}
		slots := func() int { return len(holders(t, w)) }
		end(acme[0])
		require.Equal(t, 3, slots(), "initech has none: neither acme nor globex may have the last")
		require.Empty(t, admit(t, w))
		end(globex[0])
		require.Equal(t, 3, slots(), "two were free, so the next in rotation got one")
		require.Equal(t, []string{"globex"}, admit(t, w), "it has none now, as little as initech")
		require.Equal(t, wait.Queued, ask(t, w, header("initech"), 3))
		end(acme[1])
		require.Equal(t, []string{"acme", "acme", "globex", "initech"}, holders(t, w), "the slot is given on to initech")
		end(acme[2])
		require.Equal(t, []string{"acme", "acme", "globex", "initech"}, holders(t, w), "all have some: nothing is kept")
	})
}

// TestKeptSlotsOfDuplicates: a duplicate sweep is of its job's tenant.
func TestKeptSlotsOfDuplicates(t *testing.T) {
	t.Parallel()
	eachRedis(t, func(t *testing.T, url string) {
		w, _ := open(t, url, wait.Config{MaxConcurrent: 3, SlotsKept: wait.Auto})
		h := crowd(t, w, "acme", 1, 2)[0]
		for _, sweep := range []string{"one", "two"} {
			_, _, err := w.Note(t.Context(), h.JobID, sweep, 0, time.Minute)
			require.NoError(t, err)
		}
		_, err := w.Resolve(t.Context(), h.JobID, wait.End{RunID: "run"})
		require.NoError(t, err)
		require.Len(t, crowd(t, w, "acme", 3, 2), 1, "of three: the duplicate has one, and one is kept")
		require.Len(t, crowd(t, w, "globex", 3, 2), 1)
	})
}
