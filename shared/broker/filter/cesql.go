package filter

import (
	"fmt"
	"strings"
	"sync"

	cesql "github.com/cloudevents/sdk-go/sql/v2"
	"github.com/cloudevents/sdk-go/v2/event"
)

const (
	// maxExpression and maxNesting bound what the parser is given: it recurses.
	maxExpression = 4 << 10
	maxNesting    = 64
)

// predicate is a CESQL expression and the text it was read from.
type predicate struct {
	text string
	root cesql.Expression
}

// parsing is one at a time: the parsers of the runtime share their tables.
var parsing sync.Mutex

func parseCESQL(text string) (x predicate, err error) {
	if len(text) > maxExpression {
		return x, fmt.Errorf("has %d bytes, at most %d are allowed", len(text), maxExpression)
	}
	if nesting(text) > maxNesting {
		return x, fmt.Errorf("is nested more than %d levels deep", maxNesting)
	}
	parsing.Lock()
	defer parsing.Unlock()
	defer func() {
		if r := recover(); r != nil { // a syntax error
			x, err = predicate{}, fmt.Errorf("parse expression: %v", r)
		}
	}()
	root, err := parseTree(text)
	if err != nil {
		return x, fmt.Errorf("parse expression: %w", err)
	}
	return predicate{text, root}, nil
}

// holds evaluates the expression. CESQL 1.0, section 1.2: an event does not pass
// where the value is no boolean or there are errors.
func (x predicate) holds(e event.Event) (holds bool) {
	defer func() {
		if recover() != nil { // SUBSTRING with a negative length
			holds = false
		}
	}()
	v, err := x.root.Evaluate(e)
	b, ok := v.(bool)
	return err == nil && ok && b
}

// nesting is the greatest number of brackets and prefix operators that are open
// at once. It stops counting above maxNesting.
func nesting(text string) int {
	deepest, open, prefixes := 0, 0, 0
	var brackets []int // the prefix operators before each
	for i := 0; i < len(text) && deepest <= maxNesting; i++ {
		switch c := text[i]; {
		case c == '\'' || c == '"':
			prefixes = 0
			for i++; i < len(text) && text[i] != c; i++ {
				if text[i] == '\\' {
					i++
				}
			}
		case c == '(':
			brackets = append(brackets, prefixes)
			open += 1 + prefixes
			prefixes = 0
		case c == ')' && len(brackets) > 0:
			open -= 1 + brackets[len(brackets)-1]
			brackets = brackets[:len(brackets)-1]
			prefixes = 0
		case c == '-':
			prefixes++
		case isWord(c):
			start := i
			for i+1 < len(text) && isWord(text[i+1]) {
				i++
			}
			if strings.EqualFold(text[start:i+1], "NOT") {
				prefixes++
			} else {
				prefixes = 0
			}
		}
		deepest = max(deepest, open+prefixes)
	}
	return deepest
}

func isWord(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
}
