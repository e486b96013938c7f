// Package openapi holds the description of the public HTTP API, which functions/api
// serves at /openapi.json. It is written by hand, as what clients may rely on; openapitest
// holds the functions' answers to it.
package openapi

import (
	_ "embed"
)

// Document is the OpenAPI 3.1 document, in JSON.
//
//go:embed openapi.json
var Document []byte
