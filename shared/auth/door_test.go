package auth_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/auth"
	"github.com/zixly/sweepline/shared/auth/authtest"
	"github.com/zixly/sweepline/shared/function"
	"github.com/zixly/sweepline/shared/wait"
)

// fromEnv makes the keys of a process with these variables.
func fromEnv(t *testing.T, env map[string]string) (*auth.Keys, error) {
	t.Helper()
	for _, name := range []string{"K_SERVICE", "KUBERNETES_SERVICE_HOST", "LISTEN_ADDRESS"} {
		t.Setenv(name, env[name]) // the tests may run in a pod themselves
	}
	for name, value := range env {
		t.Setenv(name, value)
	}
	var cfg auth.Config
	require.NoError(t, function.Load(&cfg))
	return auth.New(cfg)
}

const longKey = "0123456789abcdef"

func TestWhoIsLetIn(t *testing.T) {
	for name, c := range map[string]struct {
		env map[string]string
		// want is who is let in, or, after "!", what the error says.
		want string
	}{
		"a laptop":                   {nil, "open to everyone on this machine, without keys"},
		"keys":                       {map[string]string{"TENANT_KEYS": "acme:" + longKey + ",globex:x" + longKey + ",acme:y" + longKey}, "tenants: acme, globex"},
		"empty":                      {map[string]string{"TENANT_KEYS": ""}, "!TENANT_KEYS is set but empty"},
		"a space":                    {map[string]string{"TENANT_KEYS": " "}, "!TENANT_KEYS is set but empty"},
		"a newline":                  {map[string]string{"TENANT_KEYS": "\n"}, "!TENANT_KEYS is set but empty"},
		"empty but open":             {map[string]string{"TENANT_KEYS": "", "TENANTS": "open"}, "!TENANT_KEYS is set but empty"},
		"Knative":                    {map[string]string{"K_SERVICE": "receive"}, "!TENANT_KEYS is required"},
		"Kubernetes":                 {map[string]string{"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, "!TENANT_KEYS is required"},
		"all interfaces":             {map[string]string{"LISTEN_ADDRESS": ":8080"}, "!TENANT_KEYS is required"},
		"an address of the network":  {map[string]string{"LISTEN_ADDRESS": "192.0.2.1:8080"}, "!TENANT_KEYS is required"},
		"loopback":                   {map[string]string{"LISTEN_ADDRESS": "[::1]:8080"}, "open to everyone on this machine, without keys"},
		"a cluster with keys":        {map[string]string{"K_SERVICE": "receive", "TENANT_KEYS": "acme:" + longKey}, "tenants: acme"},
		"a cluster that is open":     {map[string]string{"K_SERVICE": "receive", "TENANTS": "open"}, "open to everyone who can reach it, without keys"},
		"keys and open":              {map[string]string{"TENANT_KEYS": "acme:" + longKey, "TENANTS": "open"}, "!contradict"},
		"tenants in the wrong place": {map[string]string{"TENANTS": "acme"}, `!TENANTS can be "open"`},
		"a short key":                {map[string]string{"TENANT_KEYS": "acme:" + longKey + ",globex:hush-hush"}, "!TENANT_KEYS: entry 2 has a key that is too short"},
		"one byte too few":           {map[string]string{"TENANT_KEYS": "acme:" + longKey[1:]}, "!16 bytes"},
		"a limit below 0":            {map[string]string{"TENANT_OPEN_JOBS": "-2"}, "!TENANT_OPEN_JOBS"},
	} {
		t.Run(name, func(t *testing.T) {
			k, err := fromEnv(t, c.env)
			if text, refused := strings.CutPrefix(c.want, "!"); refused {
				require.ErrorContains(t, err, text)
				require.NotContains(t, err.Error(), "hush-hush")
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.want, k.Admits())
		})
	}
}

func TestShortSecretsAreRefused(t *testing.T) {
	t.Parallel()
	for _, secret := range []string{"x", "change-me", longKey[1:]} {
		_, err := auth.NewSessions(keys(t, "acme:one"), secret, &revoked{}, time.Now)
		require.ErrorContains(t, err, "CALLBACK_SECRET is too short")
		require.NotContains(t, err.Error(), " "+secret)
	}
	_, err := auth.NewSessions(keys(t, "acme:one"), longKey, &revoked{}, time.Now)
	require.NoError(t, err)
}

// knock asks h once.
func knock(h http.Handler, from, key string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
	r.RemoteAddr = from
	r.Header.Set("X-API-Key", key)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func open(t *testing.T, cfg auth.Config) (*auth.Keys, http.Handler) {
	t.Helper()
	cfg.Keys = authtest.Hashed(cfg.Keys)
	k, err := auth.New(cfg)
	require.NoError(t, err)
	return k, k.Require(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
}

func TestATenantHasItsShareOfRequests(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, h := open(t, auth.Config{Keys: "acme:one,globex:two", Requests: 2, Burst: 10})
		for range 10 {
			require.Equal(t, 200, knock(h, "192.0.2.1:1", "one").Code)
		}
		w := knock(h, "192.0.2.1:1", "one")
		require.Equal(t, 429, w.Code)
		require.Contains(t, w.Body.String(), `"code":"too_many_requests"`)
		for name, want := range map[string]string{"Retry-After": "1", "RateLimit-Limit": "2", "RateLimit-Remaining": "0", "RateLimit-Reset": "1"} {
			require.Equal(t, want, w.Header().Get(name), name)
		}
		require.Equal(t, 200, knock(h, "192.0.2.1:1", "two").Code, "another tenant has its own")
		time.Sleep(time.Second)
		require.Equal(t, 200, knock(h, "192.0.2.1:1", "one").Code, "what Retry-After said")
		require.Equal(t, 200, knock(h, "192.0.2.1:1", "one").Code)
		require.Equal(t, 429, knock(h, "192.0.2.1:1", "one").Code)
	})
}

func TestSharesWhereSeveralShare(t *testing.T) {
	t.Parallel()
	auto := auth.Config{Requests: auth.Auto, OpenJobs: auth.Auto}
	for list, open := range map[string]int{"": 0, "acme:one": 0, "acme:one,acme:two": 0, "acme:one,globex:two": 1000} {
		cfg := auto
		cfg.Keys = authtest.Hashed(list)
		k, err := auth.New(cfg)
		require.NoError(t, err)
		require.Equal(t, wait.Shares{MostQueued: open, Tenants: max(1, map[bool]int{true: 2}[open > 0])}, k.Shares(), list)
		refused := false
		for range 10_000 {
			refused = refused || k.Admit("acme") != nil
		}
		require.Equal(t, open > 0, refused, list)
	}
	// A burst of 3,000, such as the benchmark's, is within a share.
	cfg := auto
	cfg.Keys = authtest.Hashed("acme:one,globex:two")
	k, err := auth.New(cfg)
	require.NoError(t, err)
	for range 3000 {
		require.NoError(t, k.Admit("acme"))
	}
}

func TestWrongKeysHaveToWait(t *testing.T) { // sets the default logger
	var lines bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&lines, nil)))
	t.Cleanup(func() { slog.SetDefault(before) })
	synctest.Test(t, func(t *testing.T) {
		const here, elsewhere = "192.0.2.1:1234", "[2001:db8::1]:80"
		_, h := open(t, auth.Config{Keys: "acme:one,globex:two"})
		require.Equal(t, 200, knock(h, here, "one").Code)
		for i := range 20 {
			require.Equal(t, 401, knock(h, here, "guess-"+strconv.Itoa(i)).Code, i)
		}
		require.Equal(t, 401, knock(h, here, "guess-20").Code)
		w := knock(h, here, "guess-21")
		require.Equal(t, 429, w.Code)
		require.Equal(t, "1", w.Header().Get("Retry-After"))
		require.Equal(t, 429, knock(h, here, "two").Code, "nobody learns whether a key is right while he has to wait")
		require.Equal(t, 200, knock(h, here, "one").Code, "who was known here before need not wait")
		require.Equal(t, 401, knock(h, elsewhere, "guess-22").Code, "another address")
		require.Equal(t, 200, knock(h, elsewhere, "two").Code)
		r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
		none := httptest.NewRecorder()
		r.RemoteAddr = here
		h.ServeHTTP(none, r)
		require.Equal(t, 401, none.Code, "no key is no wrong key")

		for wait := time.Second; wait < 70*time.Second; wait *= 2 { // 1 s, 2 s, 4 s, … 1 min
			time.Sleep(min(wait, time.Minute) - time.Millisecond)
			require.Equal(t, 429, knock(h, here, "guess").Code, wait)
			time.Sleep(time.Millisecond)
			require.Equal(t, 401, knock(h, here, "guess").Code, wait)
		}
		time.Sleep(time.Minute)
		require.Equal(t, 200, knock(h, here, "two").Code, "a right key after the time")
		time.Sleep(15 * time.Minute)
		for range 20 {
			require.Equal(t, 401, knock(h, here, "guess").Code, "forgotten")
		}
	})
	said := strings.Split(strings.TrimSpace(lines.String()), "\n")
	require.LessOrEqual(t, len(said), 5, "a line a minute at most")
	require.Contains(t, said[0], "wrong keys refused")
	require.NotContains(t, lines.String(), "guess")
}

func TestSigningInIsSlowedDownToo(t *testing.T) {
	t.Parallel()
	k, _ := open(t, auth.Config{Keys: "acme:one,globex:two"})
	s, err := auth.NewSessions(k, "", &revoked{}, time.Now)
	require.NoError(t, err)
	r := httptest.NewRequestWithContext(context.Background(), http.MethodPost, "/login", http.NoBody)
	for range 21 {
		require.ErrorIs(t, s.Begin(httptest.NewRecorder(), r, "guess"), auth.ErrKey)
	}
	require.NotErrorIs(t, s.Begin(httptest.NewRecorder(), r, "guess"), auth.ErrKey)
	require.Error(t, s.Begin(httptest.NewRecorder(), r, "one"))
}
