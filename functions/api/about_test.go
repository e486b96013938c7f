package api_test

import (
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/functions"
	"github.com/zixly/sweepline/functions/api"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobs/jobstest"
	"github.com/zixly/sweepline/shared/openapi"
	"github.com/zixly/sweepline/shared/openapi/openapitest"
)

// elsewhere are the operations that other functions answer, or all of them.
var elsewhere = []string{"submitSweep", "takeCallback", "getHealth", "getReadiness"}

// The document has the addresses of this function, each with its method, and no others.
// What the answers look like is held to it in every test, by serve.
func TestTheDocumentHasEveryAddress(t *testing.T) {
	t.Parallel()
	f, err := api.New(jobstest.New().OperatedService(t, ""))
	require.NoError(t, err)
	var have []string
	d, err := openapitest.Load()
	require.NoError(t, err)
	for _, o := range d.Operations() {
		if !slices.Contains(elsewhere, o.ID) {
			have = append(have, o.Method+" "+o.Path)
		}
		require.Equal(t, ownerOf[o.ID], functions.Owner(example(o.Path)), o.ID)
	}
	require.ElementsMatch(t, f.Patterns(), have)
}

// ownerOf are the functions that the public addresses of operations lead to.
var ownerOf = func() map[string]string {
	owners := map[string]string{"submitSweep": "receive", "takeCallback": "callback", "getHealth": "dashboard", "getReadiness": "dashboard"}
	d, err := openapitest.Load()
	if err != nil {
		panic(err)
	}
	for _, o := range d.Operations() {
		if owners[o.ID] == "" {
			owners[o.ID] = "api"
		}
	}
	return owners
}()

// example is a path with something for each of its parameters.
func example(path string) string { return regexp.MustCompile(`{[a-z]+}`).ReplaceAllString(path, "x") }

func TestOpenAPI(t *testing.T) {
	t.Parallel()
	w, _, h := setup(t, "acme:one")
	w.Broken["redis"], w.Broken["job store"] = true, true
	r := jobstest.Call(h, "GET", "/openapi.json")
	require.Equal(t, 200, r.Code, "to anybody, whatever is away")
	require.Equal(t, "application/json", r.Header().Get("Content-Type"))
	require.Equal(t, openapi.Document(), r.Body.Bytes())
	require.Equal(t, 304, jobstest.Call(h, "GET", "/openapi.json", "If-None-Match", r.Header().Get("ETag")).Code)
	require.Equal(t, 405, jobstest.Call(h, "POST", "/openapi.json").Code)
}

func TestVersion(t *testing.T) {
	t.Parallel()
	w, _, h := setup(t, "acme:one")
	w.Broken["redis"], w.Broken["job store"] = true, true
	v := jobstest.Decode[map[string]any](t, jobstest.Call(h, "GET", "/version"))
	require.NotEmpty(t, v["version"])
	require.Equal(t, runtime.Version(), v["go"])
}

// A parameter that an operation does not have is refused, with what it has: as the
// document says, for each of them.
func TestUnknownParametersAreRefused(t *testing.T) {
	t.Parallel()
	w, h := operated(t, "")
	d, err := openapitest.Load()
	require.NoError(t, err)
	for _, o := range d.Operations() {
		if slices.Contains(elsewhere, o.ID) {
			continue
		}
		r := jobstest.Call(h, o.Method, example(o.Path)+"?surprise=1&limt=2")
		require.Equal(t, 400, r.Code, o.ID)
		details := jobstest.Decode[struct{ Details []job.Problem }](t, r).Details
		rule := "unknown parameter: there are none here"
		if len(o.Query) > 0 {
			rule = "unknown parameter: must be one of " + strings.Join(o.Query, ", ")
		}
		require.Equal(t, []job.Problem{{Field: "limt", Message: rule}, {Field: "surprise", Message: rule}}, details, o.ID)
	}
	require.Empty(t, w.Acts)
	keyed, _, h := setup(t, "acme:one")
	_ = keyed
	require.Equal(t, 401, jobstest.Call(h, "GET", "/api/jobs?surprise=1").Code, "the key is asked for first")
}

// Errors are problems of RFC 9457 for clients that ask for them, in every place that
// writes one. The Checker behind h knows both forms.
func TestProblems(t *testing.T) {
	t.Parallel()
	w, _, h := setup(t, "acme:one")
	j := w.Stored("acme", job.Completed)
	for path, want := range map[string]int{
		"GET /api/jobs?limt=1": 400, "GET /api/jobs?limit=0": 400, "GET /api/jobs/x": 404, "POST /api/jobs/" + j.JobID + "/cancel": 409,
		"GET /nowhere": 404, "POST /api/jobs": 405,
	} {
		method, path, _ := strings.Cut(path, " ")
		r := jobstest.Call(h, method, path, "X-API-Key", "one", "Accept", "application/json, application/problem+json")
		require.Equal(t, want, r.Code, path)
		require.Equal(t, "application/problem+json", r.Header().Get("Content-Type"), path)
	}
	require.Equal(t, "application/problem+json", jobstest.Call(h, "GET", "/api/jobs", "Accept", "application/problem+json").Header().Get("Content-Type"))
}
