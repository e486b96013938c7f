package trading

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/url"

	"github.com/zixly/sweepline/shared/transport"
)

// CallbackPath is where the API's webhooks arrive, below WEBHOOK_BASE_URL.
const CallbackPath = "/webhook/sweep-callback"

// Token is what a callback for one of our jobs must carry: the API does not sign
// its webhooks. It is an HMAC-SHA256 in unpadded base64url, 43 characters, and
// depends on nothing but the secret and the job, so nothing has to be stored.
func Token(secret, jobID string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	// The prefix keeps other uses of the same secret apart.
	mac.Write([]byte("sweepline callback\n" + jobID))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// Verify reports whether token was made for jobID with one of secrets: the
// current one and those that it replaces. It takes the same time whatever is
// wrong. An empty secret accepts nothing.
func Verify(token, jobID string, secrets ...string) bool {
	ok := false
	for _, secret := range secrets {
		if secret != "" && hmac.Equal([]byte(token), []byte(Token(secret, jobID))) {
			ok = true
		}
	}
	return ok
}

// CallbackURL is the webhook_url for one of our jobs: base (WEBHOOK_BASE_URL,
// which may have a path) with the job's id and token.
func CallbackURL(base, jobID, token string) (string, error) {
	u, err := transport.ParseBase(base)
	if err != nil {
		return "", fmt.Errorf("WEBHOOK_BASE_URL %w", err)
	}
	u = u.JoinPath(CallbackPath)
	u.RawQuery = url.Values{"job": {jobID}, "token": {token}}.Encode()
	return u.String(), nil
}

// CallbackHeaders are the webhook_headers for a job: the token once more, so
// that the callback can be checked where a proxy cuts queries off.
func CallbackHeaders(token string) map[string]string {
	return map[string]string{"Authorization": "Bearer " + token}
}
