package filter

import (
	"bytes"
	"encoding/json"
)

// canonical writes a filter the one way that Parse's result can be written:
// without what is empty, attributes by name, nothing escaped that need not be.
func canonical(root *node) string {
	if root.op == opAttributes {
		return string(appendComparisons(nil, root.comparisons))
	}
	return string(appendList(nil, root.children))
}

func appendFilter(b []byte, n *node) []byte {
	b = append(b, '{')
	if n.op == opNone {
		return append(b, '}')
	}
	b = append(appendString(b, n.op.String()), ':')
	switch n.op {
	case opAll, opAny:
		b = appendList(b, n.children)
	case opNot:
		b = appendFilter(b, &n.children[0])
	case opCESQL:
		b = appendString(b, n.predicate.text)
	default:
		b = appendComparisons(b, n.comparisons)
	}
	return append(b, '}')
}

func appendList(b []byte, nodes []node) []byte {
	b = append(b, '[')
	for i := range nodes {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendFilter(b, &nodes[i])
	}
	return append(b, ']')
}

func appendComparisons(b []byte, comparisons []comparison) []byte {
	b = append(b, '{')
	for i, c := range comparisons {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendString(b, c.name), ':')
		b = appendString(b, c.value)
	}
	return append(b, '}')
}

func appendString(b []byte, s string) []byte {
	var buf bytes.Buffer
	encoder := json.NewEncoder(&buf)
	encoder.SetEscapeHTML(false) // an operator reads type <> 'a'
	if err := encoder.Encode(s); err != nil {
		panic(err) // of a string there is none
	}
	return append(b, bytes.TrimSuffix(buf.Bytes(), []byte("\n"))...)
}
