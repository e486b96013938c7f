package function_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/function"
	"github.com/zixly/sweepline/shared/job"
)

func TestProblemsAreToldInFewWords(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	function.WriteError(w, http.StatusBadRequest, function.CodeInvalid, "no", make(job.Invalid, 7000)...)
	require.Less(t, w.Body.Len(), 2000)
	require.Contains(t, w.Body.String(), "and 6980 more problems")
}
