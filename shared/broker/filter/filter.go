// Package filter decides which events a Trigger is sent. It reads the two forms
// that Knative has, filter.attributes and the dialects of filters, and looks at
// context attributes only. It holds nothing of Kubernetes: Knative's own library
// is what a test in knative/oracle compares it with.
//
//	filter.go    what a filter is, and whether an event passes
//	parse.go     filter.attributes and filters, read and bounded
//	text.go      the stored form
//	cesql.go     CESQL expressions; cesqltree.go, their bounds
package filter

import (
	"strings"

	"github.com/cloudevents/sdk-go/v2/event"
)

// Attributes are the context attributes of one event.
type Attributes interface {
	// Attribute gives the text of a context attribute or extension, specversion
	// included: booleans as "true" and "false", integers in decimal. ok is false
	// where the event does not have it.
	Attribute(name string) (text string, ok bool)
	// Event gives the typed form of the attributes, for CESQL. It is called at
	// most once in an evaluation, and never without a CESQL expression.
	Event() event.Event
}

// Filter selects events. A nil Filter selects all. It does not change and is safe
// for concurrent use.
type Filter struct {
	root node
	text string
}

// Match reports whether the event passes. It never panics: an expression that
// fails on an event, or does not give a boolean, does not select it.
func (f *Filter) Match(a Attributes) bool {
	if f == nil {
		return true
	}
	e := evaluation{attributes: a}
	return f.root.match(&e) != fail
}

// String is the filter in its canonical form: Parse reads it, and two filters are
// the same if their texts are. A nil Filter is "".
func (f *Filter) String() string {
	if f == nil {
		return ""
	}
	return f.text
}

// result has three values, as Knative's has: {} holds no opinion, and is passed
// over by what stands around it.
type result int8

const (
	fail result = iota
	pass
	none
)

type op int8

const (
	opNone       op = iota // {}
	opAttributes           // filter.attributes: "" is any value
	opExact
	opPrefix
	opSuffix
	opAll
	opAny
	opNot
	opCESQL
)

// node is one filter of a dialect. The fields that its op does not use are empty.
type node struct {
	op          op
	comparisons []comparison
	children    []node
	predicate   predicate
}

// comparison is one attribute and the value asked for, in order of the names.
type comparison struct{ name, value string }

// evaluation is what one call of Match keeps. The typed event is made when the
// first expression asks for it.
type evaluation struct {
	attributes Attributes
	event      event.Event
	typed      bool
}

func (n *node) match(e *evaluation) result {
	switch n.op {
	case opAttributes, opExact, opPrefix, opSuffix:
		return n.compare(e.attributes)
	case opAll:
		res := none
		for i := range n.children {
			switch n.children[i].match(e) {
			case fail:
				return fail
			case pass:
				res = pass
			}
		}
		return res
	case opAny:
		res := none
		for i := range n.children {
			switch n.children[i].match(e) {
			case pass:
				return pass
			case fail:
				res = fail
			}
		}
		return res
	case opNot:
		switch n.children[0].match(e) {
		case pass:
			return fail
		case fail:
			return pass
		}
		return none
	case opCESQL:
		if !e.typed {
			e.event, e.typed = e.attributes.Event(), true
		}
		if n.predicate.holds(e.event) {
			return pass
		}
		return fail
	}
	return none
}

func (n *node) compare(a Attributes) result {
	for i := range n.comparisons {
		c := &n.comparisons[i]
		text, ok := lookup(a, c.name)
		switch {
		case !ok:
		case n.op == opPrefix:
			ok = strings.HasPrefix(text, c.value)
		case n.op == opSuffix:
			ok = strings.HasSuffix(text, c.value)
		case n.op == opAttributes && c.value == "":
			ok = text != ""
		default:
			ok = text == c.value
		}
		if !ok {
			return fail
		}
	}
	return pass
}

// lookup knows two names that are no attributes of CloudEvents 1.0 but of
// Knative's filters.
func lookup(a Attributes, name string) (string, bool) {
	switch name {
	case "schemaurl":
		return a.Attribute("dataschema")
	case "datamediatype":
		text, ok := a.Attribute("datacontenttype")
		if media, _, found := strings.Cut(text, ";"); found {
			text = strings.TrimSpace(media)
		}
		return text, ok
	}
	return a.Attribute(name)
}
