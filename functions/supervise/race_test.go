//go:build race

package supervise_test

// stride: under the race detector, which makes each run many times slower, every
// so many-th crash is tried. What it looks for does not hang on the one call.
const stride = 6
