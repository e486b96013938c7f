package access_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/knative/access"
	"github.com/zixly/sweepline/knative/access/accesstest"
	"github.com/zixly/sweepline/knative/contract"
	"github.com/zixly/sweepline/shared/broker"
	"github.com/zixly/sweepline/shared/broker/cloudevent"
)

const (
	audience = "eventing.knative.dev/broker/shop/main"
	alice    = "system:serviceaccount:shop:alice"
	bob      = "system:serviceaccount:shop:bob"
	stranger = "system:serviceaccount:elsewhere:alice"
)

func request(t *testing.T, authorization ...string) *http.Request {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/shop/main", nil)
	for _, a := range authorization {
		r.Header.Add("Authorization", a)
	}
	return r
}

func guard(t *testing.T, keys json.RawMessage, allow ...contract.Grant) *access.Guard {
	t.Helper()
	var g access.Guard
	require.NoError(t, g.Set(&contract.Access{Audience: audience, Issuer: accesstest.URL, Keys: keys, Allow: allow}))
	return &g
}

func BenchmarkAdmit(b *testing.B) {
	issuer := accesstest.New(b)
	var g access.Guard
	require.NoError(b, g.Set(&contract.Access{Audience: audience, Issuer: accesstest.URL, Keys: issuer.Keys, Allow: []contract.Grant{{Subjects: []string{"*"}}}}))
	r := httptest.NewRequestWithContext(b.Context(), http.MethodPost, "/shop/main", nil)
	r.Header.Set("Authorization", "Bearer "+issuer.Token(alice, audience, time.Now()))
	for b.Loop() {
		if _, err := g.Admit(r, broker.Broker{}); err != nil {
			b.Fatal(err)
		}
	}
}

func TestWhoDoesNotProveWhoItIsIsNotLetIn(t *testing.T) {
	t.Parallel()
	issuer, other := accesstest.New(t), accesstest.New(t)
	g := guard(t, issuer.Keys, contract.Grant{Subjects: []string{"*"}})
	now := time.Now()
	good := issuer.Token(alice, audience, now)
	a, err := g.Admit(request(t, "Bearer "+good), broker.Broker{})
	require.NoError(t, err)
	require.Equal(t, alice, a.Sender)
	require.Nil(t, a.Allows)
	_, err = g.Admit(request(t, "bearer "+good), broker.Broker{})
	require.NoError(t, err, "schemes have no case")

	claims := jwt.Claims{Issuer: "https://elsewhere.example.com", Subject: alice, Audience: jwt.Audience{audience}, Expiry: jwt.NewNumericDate(now.Add(time.Hour))}
	parts := strings.Split(good, ".")
	unsigned := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + parts[1] + "."
	for name, authorization := range map[string][]string{
		"no token":                nil,
		"empty":                   {""},
		"only the scheme":         {"Bearer "},
		"another scheme":          {"Basic " + good},
		"without a scheme":        {good},
		"two tokens":              {"Bearer " + good, "Bearer " + good},
		"for another audience":    {"Bearer " + issuer.Token(alice, "eventing.knative.dev/broker/shop/other", now)},
		"expired":                 {"Bearer " + issuer.Token(alice, audience, now.Add(-2*time.Hour))},
		"not yet":                 {"Bearer " + issuer.Token(alice, audience, now.Add(time.Hour))},
		"by another key":          {"Bearer " + other.Token(alice, audience, now)},
		"of another issuer":       {"Bearer " + issuer.Sign(claims)},
		"not signed":              {"Bearer " + unsigned},
		"signature cut off":       {"Bearer " + parts[0] + "." + parts[1] + "."},
		"claims exchanged":        {"Bearer " + parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"root"}`)) + "." + parts[2]},
		"not a token":             {"Bearer x"},
		"larger than any token":   {"Bearer " + strings.Repeat("x", 20<<10)},
		"a JSON serialised token": {`Bearer {"payload":"e30","signatures":[]}`},
	} {
		a, err := g.Admit(request(t, authorization...), broker.Broker{})
		require.ErrorIs(t, err, broker.ErrUnauthenticated, name)
		require.Empty(t, a.Sender, "%s: nobody says who it is", name)
		require.NotContains(t, err.Error(), alice, "%s: what is not proven is not repeated", name)
	}
}

func TestATokenThatWasGoodExpires(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		issuer := accesstest.New(t)
		g := guard(t, issuer.Keys, contract.Grant{Subjects: []string{"*"}})
		token := "Bearer " + issuer.Token(alice, audience, time.Now())
		for range 59 {
			_, err := g.Admit(request(t, token), broker.Broker{})
			require.NoError(t, err)
			time.Sleep(time.Minute)
		}
		time.Sleep(2 * time.Minute)
		_, err := g.Admit(request(t, token), broker.Broker{})
		require.ErrorIs(t, err, broker.ErrUnauthenticated)
	})
}

func TestOnlyWhomAPolicyNamesMayPost(t *testing.T) {
	t.Parallel()
	issuer := accesstest.New(t)
	sends := func(g *access.Guard, subject string) (broker.Admission, error) {
		return g.Admit(request(t, "Bearer "+issuer.Token(subject, audience, time.Now())), broker.Broker{})
	}
	g := guard(t, issuer.Keys, contract.Grant{Subjects: []string{alice, "system:serviceaccount:jobs:*"}})
	for subject, want := range map[string]error{
		alice: nil, "system:serviceaccount:jobs:any": nil, bob: broker.ErrForbidden, stranger: broker.ErrForbidden,
		"system:serviceaccount:shop:alice2": broker.ErrForbidden, "system:serviceaccount:job": broker.ErrForbidden,
	} {
		a, err := sends(g, subject)
		if want == nil {
			require.NoError(t, err, subject)
		} else {
			require.ErrorIs(t, err, want, subject)
		}
		require.Equal(t, subject, a.Sender, "it has proven who it is")
	}
	_, err := sends(guard(t, issuer.Keys), alice)
	require.ErrorIs(t, err, broker.ErrForbidden, "nobody is allowed")
}

func TestEventsPassOneOfThePoliciesOfTheirSender(t *testing.T) {
	t.Parallel()
	issuer := accesstest.New(t)
	g := guard(t, issuer.Keys,
		contract.Grant{Subjects: []string{alice}, Filters: json.RawMessage(`[{"exact":{"type":"order.made"}}]`)},
		contract.Grant{Subjects: []string{"system:serviceaccount:shop:*"}, Filters: json.RawMessage(`[{"cesql":"source LIKE '/audit%'"}]`)},
		contract.Grant{Subjects: []string{stranger}},
	)
	event := func(kind, source string) *cloudevent.Message {
		m, err := cloudevent.ParseHTTP(http.Header{
			"Ce-Specversion": {"1.0"}, "Ce-Id": {"1"}, "Ce-Type": {kind}, "Ce-Source": {source},
		}, nil, false)
		require.NoError(t, err)
		return m[0]
	}
	for _, c := range []struct {
		sender, kind, source string
		want                 bool
	}{
		{alice, "order.made", "/shop", true},
		{alice, "order.lost", "/audit/1", true},
		{alice, "order.lost", "/shop", false},
		{bob, "order.made", "/shop", false},
		{bob, "order.made", "/audit/1", true},
	} {
		a, err := g.Admit(request(t, "Bearer "+issuer.Token(c.sender, audience, time.Now())), broker.Broker{})
		require.NoError(t, err)
		require.Equal(t, c.want, a.Allows(event(c.kind, c.source)), "%+v", c)
	}
	a, err := g.Admit(request(t, "Bearer "+issuer.Token(stranger, audience, time.Now())), broker.Broker{})
	require.NoError(t, err)
	require.Nil(t, a.Allows, "no filters: all events")
}

func TestKeysRotateAndRulesStayWhereNewOnesCannotBeRead(t *testing.T) {
	t.Parallel()
	before, after := accesstest.New(t), accesstest.New(t)
	g := guard(t, before.Keys, contract.Grant{Subjects: []string{"*"}})
	send := func(i *accesstest.Issuer) error {
		_, err := g.Admit(request(t, "Bearer "+i.Token(alice, audience, time.Now())), broker.Broker{})
		return err
	}
	require.NoError(t, send(before))
	require.ErrorIs(t, send(after), broker.ErrUnauthenticated)
	for _, bad := range []contract.Access{
		{Audience: audience, Keys: json.RawMessage(`{"keys":1}`)},
		{Audience: audience, Keys: after.Keys, Allow: []contract.Grant{{Subjects: []string{"*"}, Filters: json.RawMessage(`[{"cesql":"("}]`)}}},
	} {
		require.Error(t, g.Set(&bad))
		require.NoError(t, send(before), "what was in force still is")
	}
	both := contract.Access{Audience: audience, Issuer: accesstest.URL, Allow: []contract.Grant{{Subjects: []string{"*"}}}}
	var a, b struct{ Keys []json.RawMessage }
	require.NoError(t, json.Unmarshal(before.Keys, &a))
	require.NoError(t, json.Unmarshal(after.Keys, &b))
	var err error
	both.Keys, err = json.Marshal(map[string]any{"keys": append(a.Keys, b.Keys...)})
	require.NoError(t, err)
	require.NoError(t, g.Set(&both))
	require.NoError(t, send(before))
	require.NoError(t, send(after))
	both.Keys = after.Keys
	require.NoError(t, g.Set(&both))
	require.ErrorIs(t, send(before), broker.ErrUnauthenticated, "a key that is taken back takes its tokens along")
	both.Keys = append(json.RawMessage(nil), before.Keys...)
	token := before.Token(alice, audience, time.Now())
	once := func() error {
		_, err := g.Admit(request(t, "Bearer "+token), broker.Broker{})
		return err
	}
	require.NoError(t, g.Set(&both))
	require.NoError(t, once())
	both.Keys = after.Keys
	require.NoError(t, g.Set(&both))
	require.ErrorIs(t, once(), broker.ErrUnauthenticated, "nor is a token remembered beyond its key")
}

// Nobody is refused for good while nobody can be told apart, and nobody let in.
func TestWithoutKeysItCannotBeKnown(t *testing.T) {
	t.Parallel()
	g := guard(t, nil, contract.Grant{Subjects: []string{"*"}})
	_, err := g.Admit(request(t), broker.Broker{})
	require.Error(t, err)
	require.NotErrorIs(t, err, broker.ErrUnauthenticated)
	require.NotErrorIs(t, err, broker.ErrForbidden)
	require.NoError(t, g.Set(nil))
	_, err = g.Admit(request(t), broker.Broker{})
	require.NoError(t, err, "the cluster asks for no identities")
}
