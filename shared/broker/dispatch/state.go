package dispatch

import (
	"encoding/json"
	"time"
)

// State is what an event has been through at one Trigger. It is kept beside a
// waiting retry, and in the record of a dead letter.
type State struct {
	// Attempts counts those that the delivery spec's retry counts.
	Attempts int `json:"attempts"`
	// Absent counts the attempts in a row that met nobody and did not count, and
	// AbsentMs how long that has gone on.
	Absent   int   `json:"absent,omitempty"`
	AbsentMs int64 `json:"absent_ms,omitempty"`
	// First is when the first attempt failed, by the clock of the process that made
	// it; Unix milliseconds, to be shown only.
	First int64 `json:"first,omitempty"`
	// Code, Data and Dest are of the last failed attempt at the subscriber.
	Code int    `json:"code,omitempty"`
	Data []byte `json:"data,omitempty"`
	Dest string `json:"dest,omitempty"`
	// Dead: the subscriber will not get it any more; what follows is the dead letter
	// sink's, and Sink, SinkCode and SinkData are of the attempts there.
	Dead     bool   `json:"dead,omitempty"`
	Sink     int    `json:"sink,omitempty"`
	SinkCode int    `json:"sink_code,omitempty"`
	SinkData []byte `json:"sink_data,omitempty"`
	// Taken: the dead letter sink took it.
	Taken bool `json:"taken,omitempty"`
	// Origin is the id under which the event was stored first.
	Origin string `json:"origin,omitempty"`
}

// DecodeState reads what Encode wrote. What it cannot read is the zero State: the
// event matters more than what it has been through.
func DecodeState(b []byte) State {
	var s State
	if len(b) > 0 && json.Unmarshal(b, &s) != nil {
		return State{}
	}
	return s
}

// Encode is the stored form.
func (s State) Encode() []byte {
	b, _ := json.Marshal(s) // a struct of numbers and bytes always encodes
	return b
}

// absentFor is how long nobody has been met, so far.
func (s State) absentFor() time.Duration { return time.Duration(s.AbsentMs) * time.Millisecond }
