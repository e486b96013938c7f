//go:build !race

package supervise_test

// stride: every crash is tried.
const stride = 1
