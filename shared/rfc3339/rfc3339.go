// Package rfc3339 reads times as RFC 3339 writes them, to the letter, and writes those of
// answers. time.Parse
// differs: it takes a comma before the fraction and offsets of 24 hours, and neither
// leap seconds nor small letters.
package rfc3339

import (
	"errors"
	"strings"
	"time"
)

// ErrForm is the error of a text that is no time.
var ErrForm = errors.New("must be a time of RFC 3339, such as 2026-01-31T12:00:00Z")

// longest is more than any time that anybody writes.
const longest = 64

// Parse reads a time.
// Rule: RFC 3339, 5.6. A leap second is the last one of its minute, as time.Time has
// none; digits beyond nanoseconds are cut off.
func Parse(text string) (time.Time, error) {
	const minutes = len("2006-01-02T15:04")
	if len(text) > longest || strings.Contains(text, ",") {
		return time.Time{}, ErrForm
	}
	text = strings.ToUpper(text)
	if rest, leap := strings.CutPrefix(text[min(minutes, len(text)):], ":60"); leap {
		text = text[:minutes] + ":59" + rest
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return time.Time{}, ErrForm
	}
	if _, offset := t.Zone(); max(offset, -offset) >= 24*60*60 {
		return time.Time{}, ErrForm
	}
	return t, nil
}

// Milli is a time as answers write it: in UTC, and always with milliseconds, so that
// texts sort as times do. What is finer is cut off.
type Milli time.Time

// MarshalJSON implements json.Marshaler.
func (m Milli) MarshalJSON() ([]byte, error) {
	t := time.Time(m).UTC()
	if y := t.Year(); y < 0 || y > 9999 {
		return nil, ErrForm // RFC 3339 has years of four digits
	}
	return t.AppendFormat(nil, `"2006-01-02T15:04:05.000Z"`), nil
}

// MilliOf is a Milli where there is a time.
func MilliOf(t *time.Time) *Milli {
	return (*Milli)(t)
}
