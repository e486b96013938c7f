package contract

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
)

// AccessFile is there where the cluster asks senders who they are. It says who may post.
const AccessFile = "access.json"

// Access says who may post events to the Broker.
type Access struct {
	// Audience is what a sender's token must be for.
	Audience string `json:"audience"`
	// Issuer has made the token, and signed it with one of Keys, a JSON Web Key Set.
	Issuer string          `json:"issuer"`
	Keys   json.RawMessage `json:"keys"`
	// Allow lists who may post what: an event must be allowed by one of them.
	Allow []Grant `json:"allow,omitempty"`
}

// Grant allows senders to post events.
type Grant struct {
	// Policy is the EventPolicy that it comes of; empty for the cluster's default.
	Policy string `json:"policy,omitempty"`
	// Subjects are names of identities; a "*" at the end stands for any text.
	Subjects []string `json:"subjects"`
	// Filters are those of a Trigger's spec.filters; none let all events pass.
	Filters json.RawMessage `json:"filters,omitempty"`
}

// Encode gives the text of AccessFile.
func (a Access) Encode() (string, error) {
	text, err := json.Marshal(a)
	if err != nil {
		return "", fmt.Errorf("encode access: %w", err)
	}
	return string(text), nil
}

// DecodeAccess reads what Encode gave. What is not understood is an error: it might
// bar somebody.
func DecodeAccess(text []byte) (*Access, error) {
	var a Access
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&a); err != nil {
		return nil, fmt.Errorf("decode access: %w", err)
	}
	if a.Audience == "" {
		return nil, errors.New("decode access: it names no audience")
	}
	return &a, nil
}

// access reads AccessFile; nil where there is none.
func access(fsys fs.FS) (*Access, error) {
	text, err := fs.ReadFile(fsys, AccessFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // everybody is let in
	}
	if err != nil {
		return nil, err
	}
	return DecodeAccess(text)
}
