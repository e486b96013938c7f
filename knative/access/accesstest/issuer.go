// Package accesstest makes tokens, as a cluster's issuer does.
package accesstest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/stretchr/testify/require"
)

// URL is what an Issuer calls itself.
const URL = "https://issuer.example.com"

// Issuer signs with a key of its own.
type Issuer struct {
	t   testing.TB
	key *ecdsa.PrivateKey
	// Keys is what its tokens are checked with, a JSON Web Key Set.
	Keys json.RawMessage
}

// New makes an Issuer with a new key.
func New(t testing.TB) *Issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	keys, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "1", Algorithm: "ES256", Use: "sig"}}})
	require.NoError(t, err)
	return &Issuer{t: t, key: key, Keys: keys}
}

// Token names a subject to an audience. It is good for an hour from since.
func (i *Issuer) Token(subject, audience string, since time.Time) string {
	i.t.Helper()
	return i.Sign(jwt.Claims{
		Issuer: URL, Subject: subject, Audience: jwt.Audience{audience},
		IssuedAt: jwt.NewNumericDate(since), NotBefore: jwt.NewNumericDate(since), Expiry: jwt.NewNumericDate(since.Add(time.Hour)),
	})
}

// Sign makes a token of any claims.
func (i *Issuer) Sign(claims jwt.Claims) string {
	i.t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: i.key}, nil)
	require.NoError(i.t, err)
	token, err := jwt.Signed(signer).Claims(claims).Serialize()
	require.NoError(i.t, err)
	return token
}
