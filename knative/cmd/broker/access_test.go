package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/knative/access/accesstest"
	"github.com/zixly/sweepline/knative/contract"
	"github.com/zixly/sweepline/shared/servers/servertest"
)

// The door that a contract closes is closed before events come in, and one that cannot
// be read changes nothing.
func TestTheContractSaysWhoMayPost(t *testing.T) {
	t.Parallel()
	const audience = "eventing.knative.dev/broker/ns/guarded"
	issuer := accesstest.New(t)
	b := setup(t, servertest.Redis(t), "guarded")
	post := func(id, subject string) int {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/ns/guarded", strings.NewReader("{}"))
		for k, v := range map[string]string{"Ce-Specversion": "1.0", "Ce-Type": "t", "Ce-Source": "/s", "Ce-Id": id, "Content-Type": "application/json"} {
			r.Header.Set(k, v)
		}
		if subject != "" {
			r.Header.Set("Authorization", "Bearer "+issuer.Token(subject, audience, time.Now()))
		}
		w := httptest.NewRecorder()
		b.server.Handler().ServeHTTP(w, r)
		return w.Code
	}
	c := b.contract(1, "one")
	c.Access = &contract.Access{Audience: audience, Issuer: accesstest.URL, Keys: issuer.Keys, Allow: []contract.Grant{{Policy: "p", Subjects: []string{"alice"}}}}
	b.write(c)
	require.NoError(t, b.take(t.Context()))
	require.Equal(t, http.StatusUnauthorized, post("1", ""))
	require.Equal(t, http.StatusForbidden, post("2", "bob"))
	require.Equal(t, http.StatusAccepted, post("3", "alice"))
	n, err := b.rdb.XLen(t.Context(), "sweepline:{ns/guarded/0}:q:one").Result()
	require.NoError(t, err)
	require.EqualValues(t, 1, n, "what is refused is not stored")

	bad := b.contract(2, "one")
	bad.Access = &contract.Access{Audience: audience, Keys: []byte(`{"keys":1}`)}
	b.write(bad)
	require.Error(t, b.take(t.Context()))
	require.Equal(t, http.StatusUnauthorized, post("4", ""))
	require.EqualValues(t, 1, b.generation.Load())

	b.write(b.contract(3, "one")) // the cluster asks for no identities any more
	require.NoError(t, b.take(t.Context()))
	require.Equal(t, http.StatusAccepted, post("5", ""))
}
