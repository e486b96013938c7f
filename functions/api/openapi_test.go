package api_test

import (
	"regexp"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/functions"
	"github.com/zixly/sweepline/functions/api"
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
	require.Equal(t, openapi.Document, r.Body.Bytes())
	require.Equal(t, 304, jobstest.Call(h, "GET", "/openapi.json", "If-None-Match", r.Header().Get("ETag")).Code)
	require.Equal(t, 405, jobstest.Call(h, "POST", "/openapi.json").Code)
}
