package seal_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/binding"
	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/seal"
)

const (
	one = "one-key-of-thirty-two-characters"
	two = "another-key-of-as-many-characters"
)

func keys(t testing.TB, cfg seal.Config) *seal.Keys {
	t.Helper()
	k, err := seal.New(cfg)
	require.NoError(t, err)
	return k
}

func completed(t testing.TB) cloudevents.Event {
	t.Helper()
	at := time.Date(2026, 1, 2, 3, 4, 5, 678_900_000, time.UTC)
	e, err := event.NewCompleted(event.Completed{
		Header: job.Header{
			JobID: "0198c0de-0000-7000-8000-000000000001", TenantID: "acme", JobType: job.Type, CreatedAt: at,
			Parameters: job.Sweep{Ticker: "A<&>B €", FastRange: [2]int{5, 20}, SlowRange: [2]int{20, 60}, Step: 5, StrategyType: job.SMA},
		},
		TradingJobID: "t-1", SweepRunID: "run-1", CompletedAt: at, Via: event.ViaCallback,
	})
	require.NoError(t, err)
	return e
}

func TestOnlyWhatIsSealedIsTaken(t *testing.T) {
	t.Parallel()
	k := keys(t, seal.Config{Key: one})
	e := completed(t)
	require.ErrorIs(t, k.Check(&e), seal.ErrUnsealed)
	k.Seal(&e)
	require.NoError(t, k.Check(&e))
	require.Len(t, e.Extensions()[seal.Extension], 43)
	other := keys(t, seal.Config{Key: two})
	require.ErrorIs(t, other.Check(&e), seal.ErrForged)
	for _, text := range []any{"", "x", strings.Repeat("A", 43), strings.Repeat("A", 44), int32(7), true} {
		forged := e.Clone()
		forged.Context.(*cloudevents.EventContextV1).Extensions[seal.Extension] = text
		require.ErrorIs(t, k.Check(&forged), seal.ErrForged, text)
	}
	old := cloudevents.New(cloudevents.CloudEventsVersionV03)
	k.Seal(&old)
	require.ErrorIs(t, k.Check(&old), seal.ErrUnsealed)
}

// The seal of this very event: whoever changes it loses what is in the queues.
func TestTheSealIsWhatItWas(t *testing.T) {
	t.Parallel()
	e := completed(t)
	keys(t, seal.Config{Key: one}).Seal(&e)
	require.Equal(t, "bteVFVQZv7le7G38nrMgLhHJWUDtBS7JOqGjg9jLhtM", e.Extensions()[seal.Extension])
}

func TestEveryCoveredAttributeIsCovered(t *testing.T) {
	t.Parallel()
	k := keys(t, seal.Config{Key: one})
	for name, change := range map[string]func(*cloudevents.Event){
		"id":              func(e *cloudevents.Event) { e.SetID(e.ID() + "x") },
		"source":          func(e *cloudevents.Event) { e.SetSource("/sweepline/submit") },
		"type":            func(e *cloudevents.Event) { e.SetType(event.SweepFailed) },
		"subject":         func(e *cloudevents.Event) { e.SetSubject("x") },
		"no subject":      func(e *cloudevents.Event) { e.Context.(*cloudevents.EventContextV1).Subject = nil },
		"time":            func(e *cloudevents.Event) { e.SetTime(e.Time().Add(time.Nanosecond)) },
		"no time":         func(e *cloudevents.Event) { e.Context.(*cloudevents.EventContextV1).Time = nil },
		"dataschema":      func(e *cloudevents.Event) { e.SetDataSchema("urn:x") },
		"no dataschema":   func(e *cloudevents.Event) { e.Context.(*cloudevents.EventContextV1).DataSchema = nil },
		"datacontenttype": func(e *cloudevents.Event) { e.SetDataContentType("text/json") },
		"no type of data": func(e *cloudevents.Event) { e.Context.(*cloudevents.EventContextV1).DataContentType = nil },
		"tenant":          func(e *cloudevents.Event) { e.SetExtension(event.ExtTenant, "globex") },
		"no tenant":       func(e *cloudevents.Event) { e.SetExtension(event.ExtTenant, nil) },
		"no data":         func(e *cloudevents.Event) { e.DataEncoded = nil },
		"more data":       func(e *cloudevents.Event) { e.DataEncoded = append(e.DataEncoded, ' ') },
		"a moved border":  func(e *cloudevents.Event) { e.SetType(e.Type() + e.Subject()[:1]); e.SetSubject(e.Subject()[1:]) },
		"the seal itself": func(e *cloudevents.Event) {
			e.SetExtension(seal.Extension, strings.ToUpper(e.Extensions()[seal.Extension].(string)))
		},
	} {
		e := completed(t)
		k.Seal(&e)
		e = e.Clone()
		change(&e)
		require.ErrorIs(t, k.Check(&e), seal.ErrForged, name)
	}
	e := completed(t)
	k.Seal(&e)
	for i := range e.DataEncoded {
		forged := e
		forged.DataEncoded = bytes.Clone(e.DataEncoded)
		forged.DataEncoded[i] ^= 1
		require.ErrorIs(t, k.Check(&forged), seal.ErrForged, i)
	}
}

// What brokers and proxies set on the way is not covered.
func TestWhatBrokersAddBreaksNothing(t *testing.T) {
	t.Parallel()
	k := keys(t, seal.Config{Key: one})
	e := completed(t)
	k.Seal(&e)
	for name, v := range map[string]any{
		"knativeerrordest": "http://store", "knativeerrorcode": 500, "knativeerrordata": "bm8=", "knativebrokerttl": 254,
		"sequence": "7", "partitionkey": "another", "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		"tracestate": "a=b", "knativearrivaltime": "2026-01-02T03:04:05Z",
	} {
		e.SetExtension(name, v)
	}
	e.SetTime(e.Time().In(time.FixedZone("", 7200)))
	require.NoError(t, k.Check(&e))
}

func TestTheSealHoldsInEveryMode(t *testing.T) {
	t.Parallel()
	k := keys(t, seal.Config{Key: one})
	e := completed(t)
	k.Seal(&e)
	for name, ctx := range map[string]func(*http.Request) error{
		"binary": func(r *http.Request) error {
			return cehttp.WriteRequest(binding.WithForceBinary(t.Context()), binding.ToMessage(&e), r)
		},
		"structured": func(r *http.Request) error {
			return cehttp.WriteRequest(binding.WithForceStructured(t.Context()), binding.ToMessage(&e), r)
		},
	} {
		r, err := http.NewRequest(http.MethodPost, "http://x", http.NoBody)
		require.NoError(t, err)
		require.NoError(t, ctx(r), name)
		got, err := cehttp.NewEventFromHTTPRequest(r)
		require.NoError(t, err, name)
		require.NoError(t, k.Check(got), name)
	}
	batch, err := json.Marshal([]cloudevents.Event{e, e})
	require.NoError(t, err)
	var raw []json.RawMessage
	require.NoError(t, json.Unmarshal(batch, &raw))
	for _, r := range raw {
		var got cloudevents.Event
		require.NoError(t, json.Unmarshal(r, &got))
		require.NoError(t, k.Check(&got))
	}
}

func TestKeysRotate(t *testing.T) {
	t.Parallel()
	before, now := keys(t, seal.Config{Key: one}), keys(t, seal.Config{Key: two, OldKey: one})
	e := completed(t)
	before.Seal(&e)
	require.NoError(t, now.Check(&e))
	sealed := e.Clone()
	now.Seal(&sealed)
	require.NotEqual(t, e.Extensions()[seal.Extension], sealed.Extensions()[seal.Extension])
	require.NoError(t, now.Check(&sealed))
	require.ErrorIs(t, before.Check(&sealed), seal.ErrForged, "so the new key is given as the other one first")
	require.NoError(t, keys(t, seal.Config{Key: one, OldKey: two}).Check(&sealed))
}

func TestModes(t *testing.T) {
	t.Parallel()
	e := completed(t)
	soft := keys(t, seal.Config{Key: one, Mode: seal.AcceptUnsealed})
	require.NoError(t, soft.Check(&e))
	e.SetExtension(seal.Extension, "x")
	require.ErrorIs(t, soft.Check(&e), seal.ErrForged)
	off := keys(t, seal.Config{Mode: seal.Off})
	require.NoError(t, off.Check(&e))
	e = completed(t)
	off.Seal(&e)
	require.NotContains(t, e.Extensions(), seal.Extension)
	for name, cfg := range map[string]seal.Config{
		"EVENT_SEAL_KEY is required": {}, "EVENT_SEAL_KEY is shorter": {Key: "hushhush"},
		"EVENT_SEAL_KEY_OLD is shorter": {Key: one, OldKey: "hushhush"}, "EVENT_SEALS is none": {Key: one, Mode: "hushhush"},
	} {
		_, err := seal.New(cfg)
		require.ErrorContains(t, err, name)
		require.NotContains(t, err.Error(), "hushhush")
	}
}

// An event that is sent again may still be read by a broker of this process.
func TestASealThatIsRightIsLeftAlone(t *testing.T) {
	t.Parallel()
	k := keys(t, seal.Config{Key: one})
	e := completed(t)
	k.Seal(&e)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 100 {
				k.Seal(&e)
				if k.Check(&e) != nil {
					panic("not sealed")
				}
			}
		})
	}
	wg.Wait()
}

// Whatever is changed, in whatever attribute, the seal no longer fits.
func FuzzSeal(f *testing.F) {
	k := keys(f, seal.Config{Key: one})
	f.Add("id", "/s", "t", "sub", "urn:x", "application/json", "acme", "{}", int64(0), uint8(0), "x")
	f.Add("", "", "", "", "", "", "", "", int64(-1), uint8(7), "")
	f.Fuzz(func(t *testing.T, id, source, typ, subject, schema, content, tenant, data string, at int64, which uint8, other string) {
		make := func(id, source, typ, subject, schema, content, tenant, data string, at int64) (cloudevents.Event, bool) {
			e := cloudevents.New()
			e.SetID(id)
			e.SetSource(source)
			e.SetType(typ)
			e.SetSubject(subject)
			e.SetDataSchema(schema)
			e.SetDataContentType(content)
			e.SetTime(time.Unix(0, at))
			c := e.Context.(*cloudevents.EventContextV1)
			c.Extensions = map[string]any{event.ExtTenant: tenant}
			e.DataEncoded = []byte(data)
			return e, e.FieldErrors == nil
		}
		e, ok := make(id, source, typ, subject, schema, content, tenant, data, at)
		if !ok {
			return
		}
		k.Seal(&e)
		require.NoError(t, k.Check(&e))
		fields := []*string{&id, &source, &typ, &subject, &schema, &content, &tenant, &data}
		switch n := int(which) % (len(fields) + 2); n {
		case len(fields):
			at++
		case len(fields) + 1:
			given := e.Extensions()[seal.Extension].(string)
			if other != given {
				e.Context.(*cloudevents.EventContextV1).Extensions[seal.Extension] = other
				require.ErrorIs(t, k.Check(&e), seal.ErrForged)
			}
			return
		default:
			*fields[n] = other
		}
		forged, ok := make(id, source, typ, subject, schema, content, tenant, data, at)
		if !ok {
			return
		}
		forged.Context.(*cloudevents.EventContextV1).Extensions[seal.Extension] = e.Extensions()[seal.Extension]
		same := forged.ID() == e.ID() && forged.Source() == e.Source() && forged.Type() == e.Type() && forged.Subject() == e.Subject() &&
			forged.DataSchema() == e.DataSchema() && forged.DataContentType() == e.DataContentType() && forged.Time().Equal(e.Time()) &&
			forged.Extensions()[event.ExtTenant] == e.Extensions()[event.ExtTenant] && string(forged.Data()) == string(e.Data())
		if same {
			require.NoError(t, k.Check(&forged))
		} else {
			require.ErrorIs(t, k.Check(&forged), seal.ErrForged)
		}
	})
}

func BenchmarkSeal(b *testing.B) {
	k := keys(b, seal.Config{Key: one})
	e := completed(b)
	c := e.Context.(*cloudevents.EventContextV1)
	b.ReportAllocs()
	for b.Loop() {
		delete(c.Extensions, seal.Extension)
		k.Seal(&e)
	}
}

func BenchmarkCheck(b *testing.B) {
	k := keys(b, seal.Config{Key: one})
	e := completed(b)
	k.Seal(&e)
	b.ReportAllocs()
	for b.Loop() {
		if k.Check(&e) != nil {
			b.Fatal("not sealed")
		}
	}
}
