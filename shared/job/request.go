package job

import (
	"encoding/json"
	"errors"
	"regexp"
	"slices"
	"strconv"
)

// Limits of what a request may say besides its sweep.
const (
	MaxLabels      = 10
	MaxLabelLength = 40
	// MaxTickers is how many sweeps one request may ask for.
	MaxTickers = 50
)

// Request is what a client asks for: a sweep, or the same sweep of many tickers.
type Request struct {
	Sweep Sweep
	// Labels are the client's own words for its jobs.
	Labels []string
	// Tickers are those of a group of jobs, in the client's order; Sweep.Ticker is then
	// the first of them. Nil for one job.
	Tickers []string
	// NotifyURL is the address to be called when a job has ended; "" is none.
	NotifyURL string
}

// labelPattern leaves out what separates labels where people write them, and what
// would have to be quoted in a query or a shell.
var labelPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:=/-]*$`)

// LabelRule says what a label must be.
var LabelRule = "must be 1 to " + strconv.Itoa(MaxLabelLength) + " characters of A-Z a-z 0-9 . _ : = / -, the first a letter or digit"

// ValidLabel reports whether a job can be labelled so.
func ValidLabel(s string) bool { return len(s) <= MaxLabelLength && labelPattern.MatchString(s) }

// ValidLabels reports whether a job may have these labels.
func ValidLabels(labels []string) bool {
	var p Invalid
	checkList(&p, "labels", labels, MaxLabels, ValidLabel, LabelRule)
	return len(p) == 0
}

// checkList adds what is wrong with a list of words, each problem once.
func checkList(p *Invalid, field string, words []string, most int, valid func(string) bool, rule string) {
	if len(words) > most {
		p.add(field, "must be %d at most", most)
	}
	invalid, repeated := false, false
	seen := make(map[string]bool, len(words))
	for _, word := range words {
		invalid = invalid || !valid(word)
		repeated = repeated || seen[word]
		seen[word] = true
	}
	if invalid {
		p.add(field, "each %s", rule)
	}
	if repeated {
		p.add(field, "must not name one twice")
	}
}

// ParseRequest reads a trigger payload. It is strict: one JSON object, no unknown and no
// repeated field, exact types; defaults are filled in. Its error is always an Invalid
// that names every problem at once (of more than mostFields fields, only that). Problems
// repeat no value of the input, only (clipped) names of unknown fields.
func ParseRequest(data []byte) (Request, error) {
	var r Request
	var p Invalid
	fields, err := objectFields(data, &p)
	if err != nil {
		p.add("body", "%s", err)
		return Request{}, p
	}
	for _, list := range []struct {
		name  string
		into  *[]string
		most  int
		valid func(string) bool
		rule  string
	}{
		{"labels", &r.Labels, MaxLabels, ValidLabel, LabelRule},
		{"tickers", &r.Tickers, MaxTickers, ValidTicker, tickerRule},
	} {
		raw, present := fields[list.name]
		if !present {
			continue
		}
		delete(fields, list.name)
		if *list.into, err = words(raw); err != nil {
			p.add(list.name, "%s", err)
			continue
		}
		checkList(&p, list.name, *list.into, list.most, list.valid, list.rule)
		if list.name != "tickers" {
			continue
		}
		switch _, one := fields["ticker"]; {
		case one:
			p.add("tickers", "must not stand beside ticker")
		case len(r.Tickers) == 0:
			p.add("tickers", "must not be empty")
		default: // what is wrong with it is told of tickers
			fields["ticker"] = json.RawMessage(`"` + placeholder + `"`)
		}
	}
	if raw, present := fields["notify_url"]; present {
		delete(fields, "notify_url")
		if text(&r.NotifyURL)(raw) != nil || !ValidNotifyURL(r.NotifyURL) {
			p.add("notify_url", "%s", NotifyURLRule)
		}
	}
	group := fields["tickers"] == nil && r.Tickers != nil
	if r.Sweep, err = parseSweep(fields, p); err != nil {
		return Request{}, err
	}
	if group {
		r.Sweep.Ticker = r.Tickers[0]
	}
	if len(r.Labels) == 0 {
		r.Labels = nil
	}
	slices.Sort(r.Labels)
	return r, nil
}

// placeholder is a ticker that is valid.
const placeholder = "XXX"

// words reads a list of strings.
func words(raw json.RawMessage) ([]string, error) {
	var list []json.RawMessage
	errList := errors.New("must be a list of strings")
	if json.Unmarshal(raw, &list) != nil || list == nil {
		return nil, errList
	}
	out := make([]string, len(list))
	for i, one := range list {
		if text(&out[i])(one) != nil {
			return nil, errList
		}
	}
	return out, nil
}
