package filter

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Bounds of a filter: it is evaluated for every event of its Broker.
const (
	maxText        = 16 << 10
	maxDepth       = 16
	maxNodes       = 256
	maxComparisons = 256
	maxProblems    = 20
)

// Parse reads a filter from JSON. An object is spec.filter.attributes of a
// Trigger, an array is its spec.filters, and an empty text, object or array
// selects everything and gives nil.
//
// It refuses what Knative's webhook does, and what Knative's broker would pass
// over at run time: a filter that is wrong shall select nothing rather than
// everything. The text may have 16 KiB, 16 levels, and 256 filters and 256
// comparisons in all. The error names every problem by its path in spec, such as
// filters[0].any[1].prefix[type].
func Parse(text string) (*Filter, error) {
	if len(text) > maxText {
		return nil, fmt.Errorf("filter: has %d bytes, at most %d are allowed", len(text), maxText)
	}
	text = strings.TrimSpace(text)
	var p parser
	var root node
	switch {
	case text == "":
		return nil, nil
	case text[0] == '{':
		root.op = opAttributes
		root.comparisons = p.compare(opAttributes, json.RawMessage(text), "filter.attributes")
	case text[0] == '[':
		root.op = opAll
		root.children = p.list(json.RawMessage(text), "filters", 1)
	default:
		return nil, errors.New("filter: must be an object of attributes or an array of filters")
	}
	switch {
	case len(p.problems) > 0:
		return nil, errors.Join(p.problems...)
	case len(root.comparisons) == 0 && len(root.children) == 0:
		return nil, nil
	}
	f := &Filter{root: root, text: canonical(&root)}
	if len(f.text) > maxText {
		return nil, fmt.Errorf("filter: has %d bytes in canonical form, at most %d are allowed", len(f.text), maxText)
	}
	return f, nil
}

// parser counts what a filter holds and collects its problems.
type parser struct {
	problems []error
	nodes    int
	compared int
}

func (p *parser) problem(path, format string, args ...any) {
	switch len(p.problems) {
	case maxProblems:
		p.problems = append(p.problems, errors.New("and more"))
	case maxProblems + 1:
	default:
		p.problems = append(p.problems, fmt.Errorf("%s: %w", path, fmt.Errorf(format, args...)))
	}
}

func (p *parser) list(raw json.RawMessage, path string, depth int) []node {
	var items []json.RawMessage
	if err := json.Unmarshal(raw, &items); err != nil {
		p.problem(path, "must be an array of filters: %w", err)
		return nil
	}
	if p.nodes += len(items); p.nodes > maxNodes {
		p.problem(path, "more than %d filters", maxNodes)
		return nil
	}
	nodes := make([]node, len(items))
	for i := range items {
		nodes[i] = p.filter(items[i], fmt.Sprintf("%s[%d]", path, i), depth)
	}
	return nodes
}

// dialects are the fields of a filter, each with its meaning.
var dialects = map[string]op{
	"exact": opExact, "prefix": opPrefix, "suffix": opSuffix,
	"all": opAll, "any": opAny, "not": opNot, "cesql": opCESQL,
}

func (o op) String() string {
	for name, dialect := range dialects {
		if dialect == o {
			return name
		}
	}
	return ""
}

// filter reads one object. As in Knative, a dialect that is empty counts as not
// there, and one without any selects everything.
func (p *parser) filter(raw json.RawMessage, path string, depth int) node {
	if depth > maxDepth {
		p.problem(path, "more than %d levels", maxDepth)
		return node{}
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil {
		p.problem(path, "must be an object: %w", err)
		return node{}
	}
	var n node
	var found []string
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		at := path + "." + name
		dialect, known := dialects[name]
		if !known {
			p.problem(at, "unknown field")
			continue
		}
		if m := p.dialect(dialect, fields[name], at, depth); m.op != opNone {
			found = append(found, name)
			n = m
		}
	}
	if len(found) > 1 {
		p.problem(path, "has more than one dialect: %s", strings.Join(found, ", "))
	}
	return n
}

func (p *parser) dialect(dialect op, raw json.RawMessage, path string, depth int) node {
	n := node{op: dialect}
	if string(raw) == "null" {
		return node{}
	}
	switch dialect {
	case opNot:
		if p.nodes++; p.nodes > maxNodes {
			p.problem(path, "more than %d filters", maxNodes)
			return n
		}
		n.children = []node{p.filter(raw, path, depth+1)}
		return n
	case opAll, opAny:
		n.children = p.list(raw, path, depth+1)
	case opCESQL:
		var text string
		if err := json.Unmarshal(raw, &text); err != nil {
			p.problem(path, "must be a string")
		} else if text != "" {
			if n.predicate, err = parseCESQL(text); err != nil {
				p.problem(path, "%w", err)
			}
			return n
		}
	default:
		n.comparisons = p.compare(dialect, raw, path)
	}
	if len(n.children) == 0 && len(n.comparisons) == 0 {
		return node{}
	}
	return n
}

func (p *parser) compare(dialect op, raw json.RawMessage, path string) []comparison {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil {
		p.problem(path, "must be an object of strings: %w", err)
		return nil
	}
	if p.compared += len(fields); p.compared > maxComparisons {
		p.problem(path, "more than %d comparisons", maxComparisons)
		return nil
	}
	comparisons := make([]comparison, 0, len(fields))
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		at := path + "[" + name + "]"
		value, ok := scalar(fields[name])
		if !ok {
			p.problem(at, "must be a string: write %s in quotes", fields[name])
			continue
		}
		if !validName(name) {
			p.problem(at, "must be named by a letter and then letters or digits, all lower case")
		}
		if value == "" && dialect != opAttributes {
			p.problem(at, "must not be empty")
		}
		comparisons = append(comparisons, comparison{name, value})
	}
	return comparisons
}

// scalar gives a string, and the text of an integer or a boolean: YAML is written
// without quotes, and attributes may be of these types.
func scalar(raw json.RawMessage) (string, bool) {
	var v any
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	if err := decoder.Decode(&v); err != nil {
		return "", false
	}
	switch v := v.(type) {
	case string:
		return v, true
	case bool:
		return strconv.FormatBool(v), true
	case json.Number:
		n, err := strconv.ParseInt(v.String(), 10, 64)
		return strconv.FormatInt(n, 10), err == nil
	}
	return "", false
}

func validName(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9' || i == 0) {
			return false
		}
	}
	return s != ""
}
