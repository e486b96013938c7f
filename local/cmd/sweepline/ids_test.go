package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/jobstore"
)

func TestShortIDs(t *testing.T) {
	t.Parallel()
	require.Equal(t, []string{"019a8f3e-5b1c", "019a8f3e-5b1d", "aaaaaaaa"}, shortIDs([]string{idA, idB, "aaaaaaaa-0000"}))
	require.Equal(t, []string{"x", "x", ""}, shortIDs([]string{"x", "x", ""}))

	base, asked := listed(t)
	for given, want := range map[string]string{
		idA: "/api/jobs/" + idA + "/events?", strings.ToUpper(idA): "/api/jobs/" + idA + "/events?", "019a8f3e5b1c": "/api/jobs/" + idA + "/events?",
		"019A8F3E5B1C": "/api/jobs/" + idA + "/events?", "…5c2a1e90": "/api/jobs/" + idA + "/events?", "...5C2A1E90": "/api/jobs/" + idA + "/events?",
	} {
		_, errs, code := command(t, base, "job", given)
		require.Equal(t, exitDone, code, errs)
		require.Equal(t, want, asked(), given)
	}
	for _, words := range [][]string{{"job"}, {"watch"}, {"results"}, {"retry"}, {"cancel"}, {"open", "--print"}, {"map"}, {"retry", idA}} {
		_, errs, code := command(t, base, append(words, "019a8f3e")...)
		require.Equal(t, exitUsage, code, words)
		require.Contains(t, errs, idA, "candidates")
		require.Contains(t, errs, idB)
		require.NotContains(t, errs, "\x1b")
		_, errs, code = command(t, base, append(words, "ffffffff")...)
		require.Equal(t, exitFailed, code, words)
		require.Contains(t, errs, "no job has an id like ffffffff")
		_, errs, code = command(t, base, append(words, "019a8")...)
		require.Equal(t, exitUsage, code, words)
		require.Contains(t, errs, "first "+strconv.Itoa(jobstore.MinPrefix)+" digits")
	}
	out, _, code := command(t, base, "open", "--print", "019a8f3e5b1c")
	require.Equal(t, exitDone, code)
	require.Equal(t, base+"/jobs/"+idA+"\n", out)
}

// What a server answers to a short id is not trusted: one that ignores the filter, or a
// proxy that does, must not have another job cancelled.
func TestAServerThatIgnoresTheFilterOfIDs(t *testing.T) {
	t.Parallel()
	const other, odd = "0b9a8f3e-0000-7e4d-9f00-3b7d5c2a0000", "019a8f3e/../../dead-letters"
	of := func(cursor string, ids ...string) string {
		for i, id := range ids {
			ids[i] = fmt.Sprintf(`{"job_id":%q,"status":"QUEUED"}`, id)
		}
		return fmt.Sprintf(`{"jobs":[%s],"next_cursor":%q}`, strings.Join(ids, ","), cursor)
	}
	for name, c := range map[string]struct {
		given string
		pages []string // the last one for ever
		code  int
		acted string
	}{
		"another job":              {"019a8f3e", []string{of("", other)}, exitFailed, ""},
		"another job for an end":   {"…5c2a1e90", []string{of("", other)}, exitFailed, ""},
		"no id":                    {"019a8f3e", []string{of("", odd)}, exitFailed, ""},
		"among others":             {"019a8f3e", []string{of("", other, idA)}, exitDone, idA},
		"twice the same":           {"019a8f3e", []string{of("", idA, idA)}, exitDone, idA},
		"on the second page":       {"…5c2a1e90", []string{of("c", other), of("", idA)}, exitDone, idA},
		"another one on the next":  {"…5c2a1e90", []string{of("c", idA), of("", "019a8f3e-5b1c-7e4d-9f01-3b7d5c2a1e90")}, exitUsage, ""},
		"pages without an end":     {"…5c2a1e90", []string{of("c", idA), of("c", other)}, exitUsage, ""},
		"an end over a dash":       {"…9f003b7d5c2a1e90", []string{of("", idA)}, exitDone, idA},
		"an end that is elsewhere": {"…5c2a1e90", []string{of("", "5c2a1e90-5b1c-7e4d-9f01-3b7d00000000")}, exitFailed, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			asked, acted := 0, ""
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodPost {
					acted = strings.TrimSuffix(strings.TrimPrefix(r.URL.Path, "/api/jobs/"), "/cancel")
					_, _ = w.Write([]byte("{}"))
					return
				}
				asked++
				_, _ = w.Write([]byte(c.pages[min(asked, len(c.pages))-1]))
			}))
			t.Cleanup(server.Close)
			_, errs, code := command(t, server.URL, "cancel", c.given)
			require.Equal(t, c.code, code, errs)
			require.Equal(t, c.acted, acted)
			require.LessOrEqual(t, asked, maxLookups)
		})
	}
}
