package status

import (
	"context"
	"net/http"
	"slices"

	"github.com/zixly/sweepline/shared/auth"
	"github.com/zixly/sweepline/shared/function"
)

// operates reports whether the caller may look at what is not one tenant's: the
// broker. Where no keys are asked for there is one tenant, and it may.
func (f *Function) operates(ctx context.Context) bool {
	return f.Keys.Open() || slices.Contains(f.cfg.Operators, auth.FromContext(ctx))
}

// operatorsOnly stands behind require.
func (f *Function) operatorsOnly(next, refuse http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !f.operates(r.Context()) {
			refuse(w, r)
			return
		}
		next(w, r)
	}
}

const operatorsRule = "the broker serves every tenant, so only tenants named in OPERATOR_TENANTS may see and steer it"

func refuseToMachines(w http.ResponseWriter, _ *http.Request) {
	function.WriteError(w, http.StatusForbidden, "operators_only", operatorsRule)
}

func (f *Function) refuseToPeople(w http.ResponseWriter, r *http.Request) {
	f.problem(w, r, http.StatusForbidden, "For operators", "Nothing is shown here: "+operatorsRule+".")
}
