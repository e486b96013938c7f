//go:build tools

// Package tools pins ko, which builds the images.
package tools

import _ "github.com/google/ko"
