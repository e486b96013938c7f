package client

import (
	"errors"
	"fmt"
	"strings"
)

// ErrInvalidResponse is in the chain of an error about an answer that no sweepline gives:
// sent again, the request is answered the same.
var ErrInvalidResponse = errors.New("invalid response")

// longestCursor bounds a cursor, in bytes: it is part of an address.
const longestCursor = 4 << 10

// checkCursor keeps what is no cursor from callers, who make addresses and commands of
// them: the server's are base64url (RFC 4648, section 5).
func checkCursor(cursor string) error {
	other := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_'
	}
	if len(cursor) > longestCursor || strings.ContainsFunc(cursor, other) {
		return fmt.Errorf("%w: next_cursor must be base64url", ErrInvalidResponse)
	}
	return nil
}
