package api_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobs"
	"github.com/zixly/sweepline/shared/jobs/jobstest"
)

func TestDeadLetters(t *testing.T) {
	t.Parallel()
	w, _, h := setup(t, "acme:one,globex:two")
	for i := range 6 {
		w.DeadLetters = append(w.DeadLetters, jobstest.DeadLetter(string(rune('a'+i)), []string{"acme", "globex"}[i%2], jobstest.Created.Add(-time.Duration(i)*time.Minute)))
	}
	list := func(query string) (ids []string, next string) {
		body := jobstest.Decode[struct {
			Letters []struct {
				ID      string `json:"id"`
				EventID string `json:"event_id"`
			} `json:"dead_letters"`
			Next string `json:"next_cursor"`
		}](t, jobstest.Call(h, "GET", "/api/dead-letters?"+query, "X-API-Key", "one"))
		for _, l := range body.Letters {
			require.Equal(t, l.ID, l.EventID, "its event is named")
			ids = append(ids, l.ID)
		}
		return ids, body.Next
	}
	ids, next := list("limit=2")
	require.Equal(t, []string{"a", "c"}, ids)
	ids, _ = list("limit=2&cursor=" + url.QueryEscape(next))
	require.Equal(t, []string{"e"}, ids)
	ids, next = list("")
	require.Equal(t, []string{"a", "c", "e"}, ids)
	require.Empty(t, next)
	require.Equal(t, 400, jobstest.Call(h, "GET", "/api/dead-letters?limit=x", "X-API-Key", "one").Code)
	require.Equal(t, 400, jobstest.Call(h, "GET", "/api/dead-letters?cursor=x", "X-API-Key", "one").Code)

	require.Equal(t, 202, jobstest.Call(h, "POST", "/api/dead-letters/a/redrive", "X-API-Key", "one").Code)
	require.Equal(t, 200, jobstest.Call(h, "DELETE", "/api/dead-letters/c", "X-API-Key", "one").Code)
	require.Equal(t, 404, jobstest.Call(h, "POST", "/api/dead-letters/b/redrive", "X-API-Key", "one").Code, "another's")
	require.Equal(t, 404, jobstest.Call(h, "DELETE", "/api/dead-letters/zz", "X-API-Key", "one").Code)
	require.Equal(t, []string{"redrive a", "discard c"}, w.Acts)
	w.Broken["redis"] = true
	require.Equal(t, 503, jobstest.Call(h, "GET", "/api/dead-letters", "X-API-Key", "one").Code)
}

// TestAListOfDeadLettersIsSmall however large they are: whoever reaches the broker makes
// letters of a MiB in anybody's name. One alone is shown whole, but for its seal, which
// would make others believe it.
func TestAListOfDeadLettersIsSmall(t *testing.T) {
	t.Parallel()
	w, _, h := setup(t, "acme:one,globex:two")
	seal := strings.Repeat("s", 43)
	for i := range 300 {
		l := jobstest.DeadLetter(fmt.Sprintf("l%03d", i), "acme", jobstest.Created.Add(-time.Duration(i)*time.Minute))
		l.Event.SetExtension("sweepseal", seal)
		switch i % 3 {
		case 0:
			require.NoError(t, l.Event.SetData("application/json", map[string]string{"x": strings.Repeat("d", 900_000)}))
		case 1:
			l.Event.SetExtension("long", strings.Repeat("e", 60_000))
			l.Event.SetSubject(strings.Repeat("ü", 30_000))
		}
		w.DeadLetters = append(w.DeadLetters, l)
	}
	seen := 0
	for cursor, pages := "", 0; ; pages++ {
		require.Less(t, pages, 10)
		r := jobstest.Call(h, "GET", "/api/dead-letters?limit=500&cursor="+url.QueryEscape(cursor), "X-API-Key", "one")
		require.Equal(t, 200, r.Code)
		require.Less(t, r.Body.Len(), 1<<20)
		require.NotContains(t, r.Body.String(), seal)
		body := jobstest.Decode[struct {
			Letters []struct {
				EventID string `json:"event_id"`
				Bytes   int    `json:"data_bytes"`
			} `json:"dead_letters"`
			Next string `json:"next_cursor"`
		}](t, r)
		for _, l := range body.Letters {
			require.NotEmpty(t, l.EventID)
			if seen++; (seen-1)%3 == 0 {
				require.Greater(t, l.Bytes, 900_000)
			}
		}
		if cursor = body.Next; cursor == "" {
			break
		}
	}
	require.Equal(t, 300, seen)
	for _, id := range []string{"l000", "l001"} {
		r := jobstest.Call(h, "GET", "/api/dead-letters/"+id, "X-API-Key", "one")
		require.Equal(t, 200, r.Code)
		require.Greater(t, r.Body.Len(), 60_000, "one alone is whole")
		require.NotContains(t, r.Body.String(), seal)
	}
}

// Letters that failed alike are one group, whatever ids and numbers their reasons hold, and
// are listed, redriven and discarded as one.
func TestDeadLettersByCause(t *testing.T) {
	t.Parallel()
	w, _, h := setup(t, "acme:one,globex:two")
	id := job.NewID()
	for i, c := range []struct {
		id, owner, trigger, reason string
		code                       int
	}{
		{"a", "acme", "store", `{"error":"disk 7 is full:\n job ` + id + `"}`, 503},
		{"b", "acme", "store", `{"error":"disk 12 is full: job ` + job.NewID() + `"}`, 503},
		{"c", "globex", "store", `{"error":"disk 1 is full: job ` + job.NewID() + `"}`, 503},
		{"d", "acme", "notify", "refused \x1b[31m", 500},
		{"e", "acme", "store", "disk 7 is full: job x", 500},
	} {
		l := jobstest.DeadLetter(c.id, c.owner, jobstest.Created.Add(-time.Duration(i)*time.Minute))
		l.Trigger, l.Reason, l.Code = c.trigger, c.reason, c.code
		w.DeadLetters = append(w.DeadLetters, l)
	}
	ask := func(method, path string) *httptest.ResponseRecorder {
		return jobstest.Call(h, method, path, "X-API-Key", "one")
	}
	got := jobstest.Decode[jobs.Causes](t, ask("GET", "/api/dead-letters/causes"))
	require.Len(t, got.Causes, 3)
	first := got.Causes[0]
	require.Equal(t, jobs.Cause{Cause: first.Cause, Trigger: "store", Code: 503, Reason: "disk 7 is full: job " + id, Count: 2,
		First: jobstest.Created.Add(-time.Minute), Last: jobstest.Created, Example: "a"}, first)
	require.Equal(t, []string{"notify", "store"}, got.Triggers)
	require.True(t, got.Complete)
	require.Len(t, jobstest.Decode[jobs.Causes](t, ask("GET", "/api/dead-letters/causes?trigger=notify")).Causes, 1)
	require.NotContains(t, ask("GET", "/api/dead-letters/causes").Body.String(), "u001b")

	list := jobstest.Decode[struct {
		Letters []struct{ ID, Cause string } `json:"dead_letters"`
	}](t, ask("GET", "/api/dead-letters?trigger=store&cause="+first.Cause)).Letters
	require.Equal(t, []struct{ ID, Cause string }{{"a", first.Cause}, {"b", first.Cause}}, list)

	dry := jobstest.Decode[jobs.BulkLettersResult](t, ask("POST", "/api/dead-letters/redrive?dry_run=true&cause="+first.Cause))
	require.Equal(t, map[jobs.Outcome]int{jobs.Matches: 2}, dry.Counts)
	require.Empty(t, w.Acts)
	done := jobstest.Decode[jobs.BulkLettersResult](t, ask("POST", "/api/dead-letters/redrive?cause="+first.Cause))
	require.Equal(t, map[jobs.Outcome]int{jobs.Done: 2}, done.Counts)
	require.ElementsMatch(t, []string{"redrive a", "redrive b"}, w.Acts)
	w.Acts = nil
	require.Equal(t, 200, ask("POST", "/api/dead-letters/discard?all=true&limit=2").Code)
	require.ElementsMatch(t, []string{"discard a", "discard b"}, w.Acts)
	w.Acts = nil
	send := func(path, body string) *httptest.ResponseRecorder {
		r := httptest.NewRequest("POST", path, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("X-API-Key", "one")
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, r)
		return rec
	}
	named := jobstest.Decode[jobs.BulkLettersResult](t, send("/api/dead-letters/discard", `{"ids":["a","c","zz","a"]}`))
	require.Equal(t, map[jobs.Outcome]int{jobs.Done: 1, jobs.Missing: 2}, named.Counts, "another's is missing")
	require.Equal(t, []string{"discard a"}, w.Acts)

	for _, query := range []string{"", "?all=false", "?triger=store", "?cause=x", "?all=true&limit=101", "?all=perhaps", "?all=true&cursor=x"} {
		require.Equal(t, 400, ask("POST", "/api/dead-letters/redrive"+query).Code, query)
	}
	require.Equal(t, 400, send("/api/dead-letters/discard?all=true", `{"ids":["a"]}`).Code)
	require.Equal(t, 401, jobstest.Call(h, "POST", "/api/dead-letters/redrive?all=true").Code)
	w.Broken["broker"] = true
	require.Equal(t, 503, ask("POST", "/api/dead-letters/redrive?all=true").Code)
	require.Equal(t, []string{"discard a"}, w.Acts)
}

// A terminal state never changes: an event that would have brought its job on is
// taken by everybody and does nothing. Whoever redrives it is told.
func TestRedrivingAnEventOfAJobThatHasEnded(t *testing.T) {
	t.Parallel()
	w, _, h := setup(t, "acme:one,globex:two")
	over, open := newHeader(), newHeader()
	w.Jobs[over.JobID] = job.Job{JobID: over.JobID, TenantID: "acme", Status: job.Failed, ErrorCode: job.Undeliverable}
	w.Jobs[open.JobID] = job.Job{JobID: open.JobID, TenantID: "acme", Status: job.Running}
	add := func(id string, e cloudevents.Event, err error) {
		require.NoError(t, err)
		l := jobstest.DeadLetter(id, "acme", jobstest.Created)
		l.Event = e
		w.DeadLetters = append(w.DeadLetters, l)
	}
	e, err := event.NewRequested(event.Requested{Header: over})
	add("late", e, err)
	e, err = event.NewRequested(event.Requested{Header: open})
	add("open", e, err)
	e, err = event.NewFinished(job.Job{JobID: over.JobID, TenantID: "acme", JobType: job.Type, Status: job.Failed, CreatedAt: jobstest.Created, Parameters: over.Parameters})
	add("notice", e, err)
	for id, want := range map[string]string{"late": "FAILED", "open": "", "notice": ""} {
		r := jobstest.Call(h, "POST", "/api/dead-letters/"+id+"/redrive", "X-API-Key", "one")
		require.Equal(t, 202, r.Code)
		body := jobstest.Decode[map[string]string](t, r)
		require.Equal(t, want, body["job_status"], id)
		require.Equal(t, want != "", strings.Contains(body["message"], "its job has ended as FAILED"), body["message"])
	}
	require.Len(t, w.Acts, 3, "it is done as asked, all the same")
	require.Equal(t, 200, jobstest.Call(h, "DELETE", "/api/dead-letters/late", "X-API-Key", "one").Code)
}

func newHeader() job.Header {
	return job.Header{JobID: job.NewID(), TenantID: "acme", JobType: job.Type, Parameters: jobstest.Sweep, CreatedAt: jobstest.Created}
}

// One letter whose data is not what it says must not hide the others.
func TestALetterThatIsNoJSON(t *testing.T) {
	t.Parallel()
	w, _, h := setup(t, "acme:one")
	bad, good := jobstest.DeadLetter("bad", "acme", jobstest.Created), jobstest.DeadLetter("good", "acme", jobstest.Created.Add(-time.Minute))
	require.NoError(t, bad.Event.SetData("application/json", []byte("{bad")))
	require.NoError(t, good.Event.SetData("application/json", []byte(`{"a":1}`)))
	bad.Event.DataBase64, good.Event.DataBase64 = false, false // as they are read from a request
	w.DeadLetters = append(w.DeadLetters, bad, good)
	r := jobstest.Call(h, "GET", "/api/dead-letters", "X-API-Key", "one")
	require.Equal(t, 200, r.Code, r.Body)
	body := jobstest.Decode[struct {
		Letters []struct {
			ID    string
			Event struct {
				Data       json.RawMessage
				DataBase64 []byte `json:"data_base64"`
			}
		} `json:"dead_letters"`
	}](t, r)
	require.Len(t, body.Letters, 2)
	require.Equal(t, "{bad", string(body.Letters[0].Event.DataBase64))
	require.JSONEq(t, `{"a":1}`, string(body.Letters[1].Event.Data))
}

// Between two of a tenant's letters stand others', and the place where a page
// ends may be one of those: a cursor tells nothing, and is of use to its tenant
// alone.
func TestACursorOfDeadLettersTellsNothingOfOthers(t *testing.T) {
	t.Parallel()
	w, _, h := setup(t, "acme:one,globex:two")
	for i := range 40 { // more than one request looks past
		owner := "globex"
		if i == 39 {
			owner = "acme"
		}
		w.DeadLetters = append(w.DeadLetters, jobstest.DeadLetter(string(rune('A'+i)), owner, jobstest.Created.Add(-time.Duration(i)*time.Minute)))
	}
	next := func(query, key string) string {
		r := jobstest.Call(h, "GET", "/api/dead-letters?limit=1"+query, "X-API-Key", key)
		require.Equal(t, 200, r.Code, r.Body)
		return jobstest.Decode[struct {
			Letters []json.RawMessage `json:"dead_letters"`
			Next    string            `json:"next_cursor"`
		}](t, r).Next
	}
	cursor := next("", "one")
	require.NotEmpty(t, cursor)
	for _, l := range w.DeadLetters {
		require.NotContains(t, cursor, l.Position)
		raw, err := base64.RawURLEncoding.DecodeString(cursor)
		require.NoError(t, err)
		require.NotContains(t, string(raw), l.Position)
		require.Equal(t, 400, jobstest.Call(h, "GET", "/api/dead-letters?cursor="+l.Position, "X-API-Key", "one").Code, "a position is no cursor")
	}
	require.NotEqual(t, cursor, next("", "one"), "nor can two be compared")
	require.NotEmpty(t, next("&cursor="+cursor, "one"))
	require.Equal(t, 400, jobstest.Call(h, "GET", "/api/dead-letters?cursor="+cursor, "X-API-Key", "two").Code)
}

// A dead letter that says it is one tenant's and holds what is another's is shown
// to those who operate the broker, and can be handled by them alone.
func TestADisputedDeadLetterIsForOperators(t *testing.T) {
	t.Parallel()
	for data, want := range map[string]int{
		`{"tenant_id":"acme","ticker":"DAX"}`: 1,
		`{"ticker":"DAX"}`:                    1,
		`[1]`:                                 1,
		`not JSON`:                            1,
		`{"tenant_id":"globex","ticker":"SECRET"}`:                    0,
		`{"Tenant_ID":"globex","ticker":"SECRET"}`:                    0,
		`{"tenant_id":["acme"],"ticker":"SECRET"}`:                    0,
		`{"tenant_id":"acme","TENANT_ID":"globex","ticker":"SECRET"}`: 0,
		`{"tenantid":"globex","ticker":"SECRET"}`:                     0,
	} {
		w := jobstest.New()
		_, h := serve(t, w.OperatedService(t, "acme:one,globex:two,ops:three", "ops"))
		l := jobstest.DeadLetter("a", "acme", jobstest.Created)
		require.NoError(t, l.Event.SetData("application/json", []byte(data)))
		w.DeadLetters = append(w.DeadLetters, l)
		seen := func(key string) int {
			return strings.Count(jobstest.Call(h, "GET", "/api/dead-letters", "X-API-Key", key).Body.String(), `"event_id"`)
		}
		require.Equal(t, want, seen("one"), data)
		require.Zero(t, seen("two"), data)
		require.Equal(t, 1-want, seen("three"), data)
		if want == 0 {
			require.Equal(t, 404, jobstest.Call(h, "POST", "/api/dead-letters/a/redrive", "X-API-Key", "one").Code, data)
			require.Equal(t, 202, jobstest.Call(h, "POST", "/api/dead-letters/a/redrive", "X-API-Key", "three").Code, data)
		}
	}
}
