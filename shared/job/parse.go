package job

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// mostFields bounds the members of a payload that are looked at: there are nine, and
// each costs more than its bytes.
const mostFields = 64

// longestName bounds how much of an unknown field's name is sent back.
const longestName = 40

// parseSweep reads the sweep of a payload's fields. Its error is p with the problems
// that it finds.
func parseSweep(fields map[string]json.RawMessage, p Invalid) (Sweep, error) {
	s := Sweep{MinTrades: DefaultMinTrades, StrategyType: SMA}
	known := map[string]bool{}
	for _, f := range []struct {
		name     string
		required bool
		decode   func(json.RawMessage) error
	}{
		{"ticker", true, text(&s.Ticker)},
		{"fast_range", true, pair(&s.FastRange)},
		{"slow_range", true, pair(&s.SlowRange)},
		{"step", true, integer(&s.Step)},
		{"min_trades", false, integer(&s.MinTrades)},
		{"strategy_type", false, text(&s.StrategyType)},
		{"config_path", false, configPath(&s.ConfigPath)},
	} {
		raw, present := fields[f.name]
		delete(fields, f.name)
		switch {
		case !present && f.required:
			p.add(f.name, "is required")
		case !present:
			known[f.name] = true // the default stands
		default:
			if err := f.decode(raw); err != nil {
				p.add(f.name, "%s", err)
			} else {
				known[f.name] = true
			}
		}
	}
	s.check(&p, func(field string) bool { return known[field] })
	for name := range fields {
		p.add(Clip(name), "unknown field")
	}
	if len(p) > 0 {
		p.Sort()
		return Sweep{}, p
	}
	return s, nil
}

// objectFields splits one JSON object into its members without looking into
// them. A repeated member is a problem: readers disagree on which one counts.
func objectFields(data []byte, p *Invalid) (map[string]json.RawMessage, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("must be one JSON object")
	}
	fields := map[string]json.RawMessage{}
	repeated := map[string]bool{}
	for dec.More() {
		if len(fields) == mostFields {
			return nil, fmt.Errorf("has more than %d fields", mostFields)
		}
		t, err := dec.Token()
		if err != nil {
			return nil, errors.New("is not valid JSON")
		}
		name, _ := t.(string)
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return nil, errors.New("is not valid JSON")
		}
		if _, ok := fields[name]; ok && !repeated[name] {
			repeated[name] = true
			p.add(Clip(name), "stands more than once")
		}
		fields[name] = raw
	}
	if _, err := dec.Token(); err != nil {
		return nil, errors.New("is not valid JSON")
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("has text after its JSON object")
	}
	return fields, nil
}

// Clip makes the name of an unknown field one that may be sent back.
func Clip(name string) string {
	if len(name) > longestName {
		name = name[:longestName] + "…"
	}
	return strings.ToValidUTF8(strings.Map(printable, name), "?")
}

func printable(r rune) rune {
	if !strconv.IsPrint(r) {
		return '?'
	}
	return r
}

func text(into *string) func(json.RawMessage) error {
	return func(raw json.RawMessage) error {
		if raw[0] != '"' {
			return errors.New("must be a string")
		}
		return json.Unmarshal(raw, into)
	}
}

// configPath is a text that, where it is given, may not be empty: the API
// would refuse it.
func configPath(into *string) func(json.RawMessage) error {
	return func(raw json.RawMessage) error {
		if err := text(into)(raw); err != nil {
			return err
		}
		if *into == "" {
			return errors.New("must be minimum or standard")
		}
		return nil
	}
}

var errInteger = errors.New("must be an integer")

func integer(into *int) func(json.RawMessage) error {
	return func(raw json.RawMessage) error {
		n, err := parseInt(raw)
		if err != nil {
			return err
		}
		*into = n
		return nil
	}
}

// parseInt takes only plain integers: 1e3 and 1.0 are refused, since the API
// reads them differently in its two encodings.
func parseInt(raw json.RawMessage) (int, error) {
	if len(raw) > 10 { // more digits than any limit has, and no overflow below
		return 0, errInteger
	}
	n, err := strconv.Atoi(string(raw))
	if err != nil {
		return 0, errInteger
	}
	return n, nil
}

func pair(into *[2]int) func(json.RawMessage) error {
	errPair := errors.New("must be two integers, [first, last]")
	return func(raw json.RawMessage) error {
		var two []json.RawMessage
		if json.Unmarshal(raw, &two) != nil || len(two) != 2 {
			return errPair
		}
		for i, r := range two {
			n, err := parseInt(bytes.TrimSpace(r))
			if err != nil {
				return errPair
			}
			into[i] = n
		}
		return nil
	}
}
