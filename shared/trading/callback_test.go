package trading_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/trading"
)

var at = time.Date(2025, 1, 27, 10, 5, 0, 0, time.UTC)

var callbacks = map[string]struct {
	body string
	want trading.Callback
}{
	"event completed": {
		`{"event_type":"sweep.completed","job_id":"j1","sweep_run_id":"` + run + `","status":"completed","ticker":"DAX",
		  "result_data":{"sweep_run_id":"` + run + `","total_combinations":7,"execution_time_seconds":1.5},"timestamp":"2025-01-27T10:05:00"}`,
		trading.Callback{TradingJobID: "j1", Status: trading.Completed, RunID: run, Combinations: 7, ExecutionSeconds: 1.5, At: at},
	},
	"event failed": {
		`{"event_type":"sweep.failed","job_id":"j1","status":"failed","error_message":"bad\n\u0000data","timestamp":"2025-01-27T11:05:00+01:00","sweep_run_id":null}`,
		trading.Callback{TradingJobID: "j1", Status: trading.Failed, ErrorMessage: "bad  data", At: at},
	},
	"event without status": {
		`{"event_type":"sweep.completed","job_id":"j1"}`,
		trading.Callback{TradingJobID: "j1", Status: trading.Completed},
	},
	"status object": {
		`{"job_id":"j1","status":"completed","progress":100,"command_group":"strategy","command_name":"sweep","parameters":{},"result_path":null,
		  "result_data":{"output":"… sweep_run_id: ` + run + `"},"error_message":null,"created_at":"2025-01-27T10:00:00","webhook_sent_at":"2025-01-27T10:05:00Z"}`,
		trading.Callback{TradingJobID: "j1", Status: trading.Completed, RunID: run, At: at},
	},
	"status cancelled": {
		`{"job_id":"j1","status":"cancelled","completed_at":"2025-01-27 10:05:00"}`,
		trading.Callback{TradingJobID: "j1", Status: trading.Cancelled, At: at},
	},
	"completed without run id": {
		`{"job_id":"j1","status":"completed","unknown":{"a":[1,2]}}`,
		trading.Callback{TradingJobID: "j1", Status: trading.Completed},
	},
}

func TestParseCallback(t *testing.T) {
	t.Parallel()
	for name, c := range callbacks {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := trading.ParseCallback([]byte(c.body))
			require.NoError(t, err)
			require.Equal(t, c.want, got)
		})
	}
}

func TestParseCallbackRefuses(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"empty":          ``,
		"no object":      `[]`,
		"null":           `null`,
		"two objects":    `{"job_id":"j","status":"failed"}{}`,
		"no id":          `{"status":"completed"}`,
		"id is a number": `{"job_id":1,"status":"completed"}`,
		"id with a path": `{"job_id":"../x","status":"completed"}`,
		"id too long":    `{"job_id":"` + strings.Repeat("a", 129) + `","status":"completed"}`,
		"no status":      `{"job_id":"j"}`,
		"still running":  `{"job_id":"j","status":"running"}`,
		"contradiction":  `{"job_id":"j","event_type":"sweep.completed","status":"failed"}`,
		"unknown event":  `{"job_id":"j","event_type":"sweep.started","status":"completed"}`,
		"message type":   `{"job_id":"j","status":"failed","error_message":{}}`,
		"too large":      `{"job_id":"j","status":"failed","x":"` + strings.Repeat("a", trading.MaxCallback) + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := trading.ParseCallback([]byte(body))
			require.ErrorIs(t, err, trading.ErrCallback)
		})
	}
}

func TestLongMessagesAreClipped(t *testing.T) {
	t.Parallel()
	got, err := trading.ParseCallback([]byte(`{"job_id":"j","status":"failed","error_message":"` + strings.Repeat("ä", 5000) + `"}`))
	require.NoError(t, err)
	require.LessOrEqual(t, len(got.ErrorMessage), 2010)
	require.True(t, strings.HasSuffix(got.ErrorMessage, "ä…"))
}

func FuzzParseCallback(f *testing.F) {
	for _, c := range callbacks {
		f.Add([]byte(c.body))
	}
	f.Add([]byte(`{"job_id":"j","status":"completed","result_data":"sweep_run_id=` + run + `"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		c, err := trading.ParseCallback(body)
		if err != nil {
			require.ErrorIs(t, err, trading.ErrCallback)
			require.Zero(t, c)
			return
		}
		require.True(t, c.Status.Ended())
		require.NotEmpty(t, c.TradingJobID)
		require.LessOrEqual(t, len(c.TradingJobID), 128)
		require.NotContains(t, c.RunID, "/")
		require.NotContains(t, c.ErrorMessage, "\x00")
		if c.Status != trading.Completed {
			require.Empty(t, c.RunID)
		}
	})
}

func TestToken(t *testing.T) {
	t.Parallel()
	const id = "0195a1b2-0000-7000-8000-0123456789ab"
	token := trading.Token("new", id)
	require.Len(t, token, 43)
	require.Equal(t, token, trading.Token("new", id))
	require.True(t, trading.Verify(token, id, "new"))
	require.True(t, trading.Verify(token, id, "newer", "new"), "after a rotation")
	require.True(t, trading.Verify(trading.Token("old", id), id, "new", "old"))
	require.False(t, trading.Verify(token, id, "old"))
	require.False(t, trading.Verify(token, id+"0", "new"))
	require.False(t, trading.Verify("", id, "new"))
	require.False(t, trading.Verify(token+"A", id, "new"))
	require.False(t, trading.Verify(token, id))
	require.False(t, trading.Verify(trading.Token("", id), id, ""), "an empty secret accepts nothing")
}

func TestCallbackURL(t *testing.T) {
	t.Parallel()
	got, err := trading.CallbackURL("https://hooks.example.com/base/", "J 1", "t_-")
	require.NoError(t, err)
	require.Equal(t, "https://hooks.example.com/base/webhook/sweep-callback?job=J+1&token=t_-", got)
	for _, base := range []string{"", "hooks.example.com", "ftp://x", "http://", "http://a b", "https://x/?a=b", "https://x/#a"} {
		_, err := trading.CallbackURL(base, "j", "t")
		require.ErrorContains(t, err, "WEBHOOK_BASE_URL", base)
	}
}
