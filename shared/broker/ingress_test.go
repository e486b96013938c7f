package broker

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/broker/cloudevent"
	"github.com/zixly/sweepline/shared/servers/servertest"
)

func TestIngressAnswers(t *testing.T) {
	t.Parallel()
	b := setup(t, servertest.Miniredis(t))
	b.cfg.MaxEventBytes = 2000
	n := b.serve()
	binary := map[string]string{"Ce-Specversion": "1.0", "Ce-Id": "1", "Ce-Source": "/s", "Ce-Type": "t"}
	with := func(k, v string) map[string]string {
		h := map[string]string{}
		for k, v := range binary {
			h[k] = v
		}
		if h[k] = v; v == "" {
			delete(h, k)
		}
		return h
	}
	structured := map[string]string{"Content-Type": "application/cloudevents+json; charset=utf-8"}
	batch := map[string]string{"Content-Type": "application/cloudevents-batch+json"}
	const event = `{"specversion":"1.0","id":"1","source":"/s","type":"t"`
	for name, c := range map[string]struct {
		method, path string
		header       map[string]string
		body         string
		want         int
	}{
		"binary":               {header: binary, body: "x", want: 202},
		"no data":              {header: binary, want: 202},
		"structured":           {header: structured, body: event + `}`, want: 202},
		"batch":                {header: batch, body: `[` + event + `},` + event + `}]`, want: 202},
		"empty batch":          {header: batch, body: `[]`, want: 202},
		"unknown broker":       {path: "/test/nobody", header: binary, want: 404},
		"no broker":            {path: "/", header: binary, want: 404},
		"long path":            {path: "/a/b/c", header: binary, want: 404},
		"get":                  {method: "GET", want: 405},
		"delete":               {method: "DELETE", want: 405},
		"options":              {method: "OPTIONS", want: 200},
		"a slash behind":       {path: "/" + b.broker.String() + "/", header: binary, want: 202},
		"too large":            {header: binary, body: strings.Repeat("x", 2001), want: 413},
		"as large as may be":   {header: binary, body: strings.Repeat("x", 2000), want: 202},
		"unknown format":       {header: map[string]string{"Content-Type": "application/cloudevents+avro"}, want: 415},
		"compressed":           {header: with("Content-Encoding", "gzip"), want: 415},
		"no id":                {header: with("Ce-Id", ""), want: 400},
		"no source":            {header: with("Ce-Source", ""), want: 400},
		"no type":              {header: with("Ce-Type", ""), want: 400},
		"no specversion":       {header: with("Ce-Specversion", ""), want: 400},
		"specversion 0.3":      {header: with("Ce-Specversion", "0.3"), want: 202},
		"specversion 19.0":     {header: with("Ce-Specversion", "19.0"), want: 400},
		"specversion 0.2":      {header: structured, body: `{"specversion":"0.2","id":"1","source":"/s","type":"t"}`, want: 400},
		"specversion number":   {header: structured, body: `{"specversion":0.3,"id":"1","source":"/s","type":"t"}`, want: 400},
		"0.3 structured":       {header: structured, body: `{"specversion":"0.3","id":"1","source":"/s","type":"t"}`, want: 202},
		"0.3 without an id":    {header: structured, body: `{"specversion":"0.3","source":"/s","type":"t"}`, want: 400},
		"0.3, another coding":  {header: structured, body: `{"specversion":"0.3","id":"1","source":"/s","type":"t","datacontentencoding":"gzip","data":"x"}`, want: 400},
		"0.3, bad base64":      {header: structured, body: `{"specversion":"0.3","id":"1","source":"/s","type":"t","datacontentencoding":"base64","data":"?"}`, want: 400},
		"0.3, data of 1.0":     {header: structured, body: `{"specversion":"0.3","id":"1","source":"/s","type":"t","data_base64":"AA=="}`, want: 400},
		"batch of both":        {header: batch, body: `[` + event + `},{"specversion":"0.3","id":"2","source":"/s","type":"t"}]`, want: 202},
		"bad name":             {header: with("Ce-My_ext", "x"), want: 400},
		"bad time":             {header: with("Ce-Time", "yesterday"), want: 400},
		"bad schema":           {header: with("Ce-Dataschema", "/relative"), want: 400},
		"bad content type":     {header: with("Content-Type", ";;"), want: 400},
		"ttl used up":          {header: with("Ce-Knativebrokerttl", "1"), want: 400},
		"ttl zero":             {header: with("Ce-Knativebrokerttl", "0"), want: 400},
		"ttl":                  {header: with("Ce-Knativebrokerttl", "2"), want: 202},
		"not JSON":             {header: structured, body: `{`, want: 400},
		"JSON, no event":       {header: structured, body: `[]`, want: 400},
		"null":                 {header: structured, body: `null`, want: 400},
		"empty":                {header: structured, want: 400},
		"id is a number":       {header: structured, body: `{"specversion":"1.0","id":1,"source":"/s","type":"t"}`, want: 400},
		"id is blank":          {header: structured, body: `{"specversion":"1.0","id":" ","source":"/s","type":"t"}`, want: 400},
		"control character":    {header: structured, body: event + `,"x":"a\u0000b"}`, want: 400},
		"extension is object":  {header: structured, body: event + `,"x":{}}`, want: 400},
		"extension is float":   {header: structured, body: event + `,"x":1.5}`, want: 400},
		"extension is too big": {header: structured, body: event + `,"x":3000000000}`, want: 400},
		"extension is null":    {header: structured, body: event + `,"x":null}`, want: 202},
		"data twice":           {header: structured, body: event + `,"data":1,"data_base64":"AA=="}`, want: 400},
		"bad base64":           {header: structured, body: event + `,"data_base64":"?"}`, want: 400},
		"text is no string":    {header: structured, body: event + `,"datacontenttype":"text/plain","data":{}}`, want: 400},
		"batch with a bad one": {header: batch, body: `[` + event + `},{}]`, want: 400},
		"batch is no list":     {header: batch, body: `{}`, want: 400},
	} {
		method, path := c.method, c.path
		if method == "" {
			method = http.MethodPost
		}
		if path == "" {
			path = "/" + b.broker.String()
		}
		req, err := http.NewRequestWithContext(t.Context(), method, n.ingress.URL+path, strings.NewReader(c.body))
		require.NoError(t, err)
		for k, v := range c.header {
			req.Header.Set(k, v)
		}
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, c.want, resp.StatusCode, "%s: %s", name, body)
		if c.want == 405 || method == "OPTIONS" {
			require.Equal(t, "POST, OPTIONS", resp.Header.Get("Allow"), name)
		}
		if method == "OPTIONS" { // also without a WebHook-Request-Origin
			require.Equal(t, "*", resp.Header.Get("WebHook-Allowed-Origin"))
			require.Equal(t, "*", resp.Header.Get("WebHook-Allowed-Rate"))
		}
	}
}

// A bad event in a batch keeps the others out.
func TestBatchIsAllOrNothing(t *testing.T) {
	t.Parallel()
	b := setup(t, servertest.Miniredis(t))
	n := b.serve()
	body := `[{"specversion":"1.0","id":"1","source":"/s","type":"t"},{"specversion":"1.0"}]`
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, n.url(), strings.NewReader(body))
	require.NoError(t, err)
	req.Header.Set("Content-Type", cloudevent.MediaBatch)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusBadRequest, resp.StatusCode)
	length, err := b.rdb.XLen(t.Context(), b.key(0, "history")).Result()
	require.NoError(t, err)
	require.Zero(t, length)
}

// An event that nobody could read is refused with its request, and no other's.
func TestWhatNobodyCouldReadIsRefused(t *testing.T) {
	t.Parallel()
	b := setup(t, servertest.Miniredis(t))
	b.cfg.Check = func(e event.Event) error {
		if e.Type() == "bad" {
			return errors.New("nobody can read it")
		}
		return nil
	}
	n := b.serve()
	post := func(body string) (int, string) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, n.url(), strings.NewReader(body))
		require.NoError(t, err)
		req.Header.Set("Content-Type", cloudevent.MediaBatch)
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		text, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		return resp.StatusCode, string(text)
	}
	const good, bad = `{"specversion":"1.0","id":"1","source":"/s","type":"t"}`, `{"specversion":"1.0","id":"2","source":"/s","type":"bad"}`
	status, text := post("[" + good + "," + bad + "]")
	require.Equal(t, http.StatusBadRequest, status)
	require.Contains(t, text, "nobody can read it")
	length, err := b.rdb.XLen(t.Context(), b.key(0, "history")).Result()
	require.NoError(t, err)
	require.Zero(t, length)
	status, _ = post("[" + good + "]")
	require.Equal(t, http.StatusAccepted, status)
}
