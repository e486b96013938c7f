// Package openapi holds the description of the public HTTP API, which functions/api
// serves at /openapi.json. It is written by hand, in openapi.json, as what clients may
// rely on; openapitest holds the functions' answers to it. Programs carry it compressed:
// go test ./shared/openapi -update.
package openapi

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"fmt"
	"io"
	"sync"
)

//go:embed openapi.json.gz
var compressed []byte

// Document is the OpenAPI 3.1 document, in JSON. Callers leave it as it is.
var Document = sync.OnceValue(func() []byte {
	r, err := gzip.NewReader(bytes.NewReader(compressed))
	if err != nil {
		panic(fmt.Errorf("read openapi.json.gz: %w", err)) // a mistake of the program, which tests find
	}
	text, err := io.ReadAll(r)
	if err != nil {
		panic(fmt.Errorf("read openapi.json.gz: %w", err))
	}
	return text
})
