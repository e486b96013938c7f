package function

import "fmt"

// MinSecret is how many bytes a key or a secret has at least: what is shorter can be
// guessed.
const MinSecret = 16

// CheckSecret refuses a secret that is too short. Its error names the variable, never
// the value.
func CheckSecret(variable, value string) error {
	if len(value) < MinSecret {
		return fmt.Errorf("%s is too short: it must have %d bytes at least", variable, MinSecret)
	}
	return nil
}
