package cloudevent

import (
	"strings"
	"time"

	"github.com/zixly/sweepline/shared/broker/filter"
)

var _ filter.Attributes = (*Message)(nil)

// Attribute gives the text that filters compare: as it came, but one for each
// integer and each time, which may be written in several ways.
func (m *Message) Attribute(name string) (string, bool) {
	for i := range m.attrs {
		a := &m.attrs[i]
		if a.name != name {
			continue
		}
		switch text := a.text(); {
		case a.kind == kindInt && text == "-0":
			return "0", true
		case name == "time":
			return canonicalTime(text), true
		default:
			return text, true
		}
	}
	switch {
	case name == "specversion":
		return m.version(), true
	case name == encodingAttribute && m.v03 && m.base64:
		return encodingBase64, true
	}
	return "", false
}

// canonicalTime writes a time as Knative compares it: without zeros at the end of
// the fraction, and UTC as Z.
func canonicalTime(text string) string {
	const fraction = len("2006-01-02T15:04:05") // or the zone
	if len(text) <= fraction || text[fraction] != '.' && !strings.HasSuffix(text, "00:00") {
		return text
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return text
	}
	return t.Format(time.RFC3339Nano)
}
