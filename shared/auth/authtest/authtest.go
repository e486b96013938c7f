// Package authtest makes keys for tests.
package authtest

import (
	"crypto/sha256"
	"fmt"
	"strings"
)

// Hashed gives a list of tenants and their keys with the keys' digests, which, unlike
// keys, are not too short where the keys are words.
func Hashed(keys string) string {
	if keys == "" {
		return ""
	}
	list := strings.Split(keys, ",")
	for i, entry := range list {
		if name, key, ok := strings.Cut(entry, ":"); ok && !strings.HasPrefix(key, "sha256=") {
			list[i] = fmt.Sprintf("%s:sha256=%x", name, sha256.Sum256([]byte(key)))
		}
	}
	return strings.Join(list, ",")
}
