package postgres

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"

	"github.com/zixly/sweepline/shared/function"
)

// readKey seals the tenants that reads name. PostgreSQL has no HMAC without an
// extension, so that it is given the key as pads.
type readKey []byte

// readKeysOf checks the keys of a configuration.
func readKeysOf(cfg Config) (keys []readKey, err error) {
	for _, k := range []struct{ variable, value string }{{"DATABASE_READ_KEY", cfg.ReadKey}, {"DATABASE_READ_KEY_OLD", cfg.ReadKeyOld}} {
		if k.value == "" {
			continue
		}
		if err := function.CheckSecret(k.variable, k.value); err != nil {
			return nil, err
		}
		keys = append(keys, readKey(k.value))
	}
	if cfg.ReadKey == "" && cfg.ReadKeyOld != "" {
		return nil, errors.New("DATABASE_READ_KEY_OLD needs DATABASE_READ_KEY beside it")
	}
	return keys, nil
}

// seal is the HMAC-SHA256 of a tenant's name, in hexadecimal digits.
func (k readKey) seal(tenantID string) string {
	h := hmac.New(sha256.New, k)
	h.Write([]byte(tenantID))
	return hex.EncodeToString(h.Sum(nil))
}

// pads are the key as RFC 2104 combines it: a block for the inner hash and one for the
// outer.
func (k readKey) pads() (inner, outer []byte) {
	if len(k) > sha256.BlockSize {
		sum := sha256.Sum256(k)
		k = sum[:]
	}
	block := append(bytes.Clone(k), make([]byte, sha256.BlockSize-len(k))...)
	inner, outer = bytes.Clone(block), bytes.Clone(block)
	for i := range block {
		inner[i] ^= 0x36
		outer[i] ^= 0x5c
	}
	return inner, outer
}
