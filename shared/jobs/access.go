package jobs

import (
	"context"
	"net/http"
	"slices"

	"github.com/zixly/sweepline/shared/auth"
)

// Operates reports whether the caller may look at what is not one tenant's: the
// broker. Where no keys are asked for there is one tenant, and it may.
func (s *Service) Operates(ctx context.Context) bool {
	return s.Keys.Open() || slices.Contains(s.cfg.Operators, auth.FromContext(ctx))
}

// OperatorsOnly stands behind Require.
func (s *Service) OperatorsOnly(next, refuse http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !s.Operates(r.Context()) {
			refuse(w, r)
			return
		}
		next(w, r)
	}
}

// OperatorsRule is why others are refused.
const OperatorsRule = "the broker serves every tenant, so only tenants named in OPERATOR_TENANTS may see and steer it"

// Refusal answers a request that is not let through: err is auth.ErrKey, or a
// quota.Exceeded.
type Refusal func(w http.ResponseWriter, r *http.Request, err error)

// Require lets requests through that name a tenant by key or cookie and are within
// its share.
func (s *Service) Require(next http.HandlerFunc, refuse Refusal) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, err := s.Sessions.Identify(r)
		if err == nil {
			err = s.Keys.Admit(name)
		}
		if err != nil {
			refuse(w, r, err)
			return
		}
		next(w, r.WithContext(auth.NewContext(r.Context(), name)))
	})
}

// Refuse answers a program.
func Refuse(w http.ResponseWriter, _ *http.Request, err error) { auth.Refuse(w, err) }
