package trading

import (
	"cmp"
	"encoding/json"

	"github.com/zixly/sweepline/shared/job"
)

// Bounds of what is kept of the API's words about prices, in bytes.
const (
	maxSource = 200
	maxDay    = 40
	maxHash   = 100
)

// dataBody is the member "data" of a page. The API need not have one, and what it may
// have there is its own business: only what is of our form is taken.
type dataBody struct{ job.Data }

func (d *dataBody) decode(dec *json.Decoder) error {
	var raw json.RawMessage
	if err := dec.Decode(&raw); err != nil {
		return err
	}
	var said job.Data
	if json.Unmarshal(raw, &said) == nil {
		d.Data = said
	}
	return nil
}

// decodeText reads a text; anything else counts as none.
func decodeText(dec *json.Decoder, into *string) error {
	var raw json.RawMessage
	if err := dec.Decode(&raw); err != nil {
		return err
	}
	if json.Unmarshal(raw, into) != nil {
		*into = ""
	}
	return nil
}

// prices is what the page says of the prices, nil where it says nothing.
func (b *pageBody) prices() *job.Data {
	d := job.Data{
		Source:   clean(cmp.Or(b.data.Source, b.source), maxSource),
		FirstDay: clean(b.data.FirstDay, maxDay), LastDay: clean(b.data.LastDay, maxDay),
		Bars: max(b.data.Bars, 0), Hash: clean(b.data.Hash, maxHash), BuyAndHoldPct: b.data.BuyAndHoldPct,
	}
	if d == (job.Data{}) {
		return nil
	}
	return &d
}
