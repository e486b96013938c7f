package notifyurl

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/zixly/sweepline/shared/function"
)

// Keys sign calls as Standard Webhooks says, each tenant's with a key of its own, which its
// receivers have: one of them can forge no call for another tenant. The zero value signs
// nothing.
type Keys struct{ secrets []string }

// NewKeys takes the secret that keys are made of, and the one before, which may be empty:
// calls are signed by both.
func NewKeys(secret, old string) (Keys, error) {
	var k Keys
	for variable, s := range map[string]string{"NOTIFY_URL_SECRET": secret, "NOTIFY_URL_SECRET_OLD": old} {
		if s == "" {
			continue
		}
		if err := function.CheckSecret(variable, s); err != nil {
			return k, err
		}
	}
	if secret == "" {
		return k, errors.New("NOTIFY_URL_SECRET is required with NOTIFY_URL_HOSTS")
	}
	k.secrets = []string{secret}
	if old != "" {
		k.secrets = append(k.secrets, old)
	}
	return k, nil
}

// Of is the key that a tenant's receivers verify calls by, as libraries of Standard Webhooks
// take it.
func (k Keys) Of(tenant string) string {
	return "whsec_" + base64.StdEncoding.EncodeToString(key(k.secrets[0], tenant))
}

// Sign is the header webhook-signature of a call.
// Rule: Standard Webhooks, "Signature scheme": v1 is HMAC-SHA256 over "id.timestamp.body";
// several signatures have a space between.
func (k Keys) Sign(tenant, id string, at time.Time, body []byte) string {
	signatures := make([]string, len(k.secrets))
	for i, secret := range k.secrets {
		sum := mac(key(secret, tenant), id, ".", strconv.FormatInt(at.Unix(), 10), ".", string(body))
		signatures[i] = "v1," + base64.StdEncoding.EncodeToString(sum)
	}
	return strings.Join(signatures, " ")
}

// key is a tenant's. It must never change: receivers have it.
func key(secret, tenant string) []byte { return mac([]byte(secret), "notify-url\n", tenant) }

func mac(key []byte, texts ...string) []byte {
	h := hmac.New(sha256.New, key)
	for _, text := range texts {
		h.Write([]byte(text))
	}
	return h.Sum(nil)
}
