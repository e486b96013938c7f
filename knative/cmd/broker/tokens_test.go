package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"knative.dev/pkg/apis"
	duckv1 "knative.dev/pkg/apis/duck/v1"

	"github.com/zixly/sweepline/knative/access/accesstest"
	"github.com/zixly/sweepline/knative/contract"
	"github.com/zixly/sweepline/shared/servers/servertest"
)

// A Trigger whose deliveries are to prove who they are is served once they can.
func TestATriggerWaitsForItsMountedToken(t *testing.T) {
	t.Parallel()
	got := make(chan string, 10)
	subscriber := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got <- r.Header.Get("Authorization") }))
	t.Cleanup(subscriber.Close)
	uri, err := apis.ParseURL(subscriber.URL)
	require.NoError(t, err)

	url := servertest.Redis(t)
	folder := t.TempDir()
	ingress, dispatcher := setup(t, url, "proving"), setup(t, url, "proving", func(c *Config) { c.Role, c.Tokens = Dispatcher, folder })

	c := ingress.contract(1, "one")
	account, audience := "one-oidc", "some/sink"
	c.Triggers[0].Spec.Subscriber = duckv1.Destination{URI: uri, Audience: &audience}
	c.Triggers[0].Status.Auth = &duckv1.AuthStatus{ServiceAccountName: &account}
	ingress.write(c)
	require.NoError(t, ingress.take(t.Context()), "it delivers nothing")
	dispatcher.write(c)
	require.ErrorContains(t, dispatcher.take(t.Context()), "trigger ns/proving/one: token of one-oidc")
	require.Zero(t, dispatcher.generation.Load())

	token := accesstest.New(t).Token(account, audience, time.Now())
	require.NoError(t, os.WriteFile(filepath.Join(folder, contract.TokenFile(account, audience)), []byte(token), 0o600))
	require.NoError(t, dispatcher.take(t.Context()))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- dispatcher.server.Run(ctx) }()
	require.Equal(t, http.StatusAccepted, ingress.post())
	select {
	case header := <-got:
		require.Equal(t, "Bearer "+token, header)
	case <-time.After(serverTimeout):
		require.Fail(t, "nothing is delivered")
	}
	cancel()
	require.NoError(t, <-done)
}
