package openapitest

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
	"github.com/pb33f/libopenapi-validator/config"
	validation "github.com/pb33f/libopenapi-validator/errors"
	"github.com/pb33f/libopenapi-validator/paths"
	v3 "github.com/pb33f/libopenapi/datamodel/high/v3"
)

// rules are a document as requests and answers are held to it. It is an interface so
// that the tests which import this package do not compile the library's generic types
// again, which takes each of them half a minute under the race detector.
type rules interface {
	// path is the document's path of a request, empty if it has none.
	path(r *http.Request) string
	// request and answer return what is wrong, empty if nothing is.
	request(r *http.Request) string
	answer(r *http.Request, a *http.Response) string
}

type library struct {
	model     *v3.Document
	validator validator.Validator
	options   *config.ValidationOptions
}

func read(text []byte) (rules, []Operation, error) {
	parsed, err := libopenapi.NewDocument(text)
	if err != nil {
		return nil, nil, fmt.Errorf("read OpenAPI document: %w", err)
	}
	model, err := parsed.BuildV3Model()
	if err != nil {
		return nil, nil, fmt.Errorf("build OpenAPI model: %w", err)
	}
	v, errs := validator.NewValidator(parsed,
		config.WithFormatAssertions(), config.WithStrictMode(), config.WithoutSecurityValidation(),
		// Events are passed on as somebody made them.
		config.WithStrictIgnorePaths("$.body.events[*].data.**", "$.body.event.**", "$.body.dead_letters[*].event.**"),
		config.WithStrictIgnoredHeadersExtra(
			"Content-Security-Policy", "X-Content-Type-Options", "Referrer-Policy", "X-Accel-Buffering", "Connection", "Allow",
			"traceparent", "tracestate", "Sec-Fetch-Site", "X-API-Key", "Retry-After", "Content-Encoding", "Cache", // the last is go-sse's
		),
	)
	if len(errs) > 0 {
		return nil, nil, fmt.Errorf("read OpenAPI document: %v", errs)
	}
	if ok, problems := v.ValidateDocument(); !ok {
		return nil, nil, fmt.Errorf("OpenAPI document: %s", describe(problems))
	}
	l := &library{model: &model.Model, validator: v, options: config.NewValidationOptions()}
	return l, l.operations(), nil
}

func (l *library) operations() (all []Operation) {
	for path, item := range l.model.Paths.PathItems.FromOldest() {
		for method, operation := range item.GetOperations().FromOldest() {
			o := Operation{Method: strings.ToUpper(method), Path: path, ID: operation.OperationId}
			for _, p := range append(slices.Clone(item.Parameters), operation.Parameters...) {
				if p.In == "query" {
					o.Query = append(o.Query, p.Name)
				}
			}
			slices.Sort(o.Query)
			all = append(all, o)
		}
	}
	return all
}

func (l *library) path(r *http.Request) string {
	_, problems, path := paths.FindPath(r, l.model, l.options)
	if len(problems) > 0 {
		return ""
	}
	return path
}

func (l *library) request(r *http.Request) string {
	_, problems := l.validator.ValidateHttpRequestSync(r)
	return describe(problems)
}

func (l *library) answer(r *http.Request, a *http.Response) string {
	_, problems := l.validator.ValidateHttpResponse(r, a)
	return describe(problems)
}

func describe(problems []*validation.ValidationError) string {
	var lines []string
	for _, p := range problems {
		line := p.Message + ": " + p.Reason
		for _, s := range p.SchemaValidationErrors {
			line += fmt.Sprintf("\n    %s %s: %s", s.KeywordLocation, s.FieldPath, s.Reason)
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n  ")
}
