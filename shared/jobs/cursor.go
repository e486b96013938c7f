package jobs

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/zixly/sweepline/shared/auth"
	"github.com/zixly/sweepline/shared/job"
)

// errCursor: a cursor that was not returned to this tenant.
var errCursor = errors.New("must be a cursor that this list returned")

// maxCursor is how long a cursor may be, in bytes before base64.
const maxCursor = 1 << 10

// ErrBadCursor is what is wrong with a query whose cursor is of another list, or damaged.
var ErrBadCursor = job.Invalid{{Field: "cursor", Message: errCursor.Error()}}

// cursors seals where a page of a list ends that several tenants' things stand in:
// the position may be the one of somebody else's. A cursor can be read by us alone,
// and used by the tenant that it was given to alone.
type cursors struct{ aead cipher.AEAD }

// newCursors derives its key from secret. Without one, cursors end with the process.
func newCursors(secret string) (cursors, error) {
	if secret == "" {
		secret = rand.Text()
	}
	key, err := hkdf.Key(sha256.New, []byte(secret), nil, "sweepline cursor", 32)
	if err != nil {
		return cursors{}, fmt.Errorf("derive cursor key: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return cursors{}, fmt.Errorf("cursor key: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return cursors{}, fmt.Errorf("cursor key: %w", err)
	}
	return cursors{aead}, nil
}

func (c cursors) seal(ctx context.Context, position string) string {
	if position == "" {
		return ""
	}
	sealed := c.aead.Seal(nil, nil, []byte(position), []byte(auth.FromContext(ctx))) //nolint:gosec // it makes its own random nonce
	return base64.RawURLEncoding.EncodeToString(sealed)
}

func (c cursors) open(ctx context.Context, cursor string) (string, error) {
	raw, err := base64.RawURLEncoding.DecodeString(cursor)
	// One spelling: base64 takes line breaks anywhere, and any spare bits.
	if err != nil || len(raw) > maxCursor || base64.RawURLEncoding.EncodeToString(raw) != cursor {
		return "", errCursor
	}
	position, err := c.aead.Open(nil, nil, raw, []byte(auth.FromContext(ctx)))
	if err != nil {
		return "", errCursor
	}
	return string(position), nil
}
