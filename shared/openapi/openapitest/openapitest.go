// Package openapitest holds handlers and clients to the API's OpenAPI document.
package openapitest

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/zixly/sweepline/shared/openapi"
)

// Operation is a method and a path of the document, with its parameters in braces.
type Operation struct {
	Method, Path, ID string
	// Query are the names of its query parameters, sorted.
	Query []string
}

// Document is the document as tests ask it.
type Document struct {
	rules      rules
	operations []Operation
	schemas    *jsonschema.Compiler
	compiling  sync.Mutex
}

// location is what the document is called in messages about its schemas.
const location = "https://sweepline.test/openapi.json"

// Load reads the document, once for all tests of a process.
var Load = sync.OnceValues(func() (*Document, error) { return Read(openapi.Document()) })

// Read reads a document and refuses one that is not OpenAPI 3.1.
func Read(text []byte) (*Document, error) {
	rules, operations, err := read(text)
	if err != nil {
		return nil, err
	}
	d := &Document{rules: rules, operations: operations, schemas: jsonschema.NewCompiler()}
	tree, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("read OpenAPI document: %w", err)
	}
	d.schemas.AssertFormat()
	if err := d.schemas.AddResource(location, withoutDialect(tree)); err != nil {
		return nil, fmt.Errorf("read schemas of OpenAPI document: %w", err)
	}
	return d, nil
}

// withoutDialect is the document with what makes no difference to a reader of schemas
// left out: OpenAPI's dialect is JSON Schema 2020-12 with annotations.
func withoutDialect(tree any) any {
	if m, ok := tree.(map[string]any); ok {
		m = maps.Clone(m)
		delete(m, "jsonSchemaDialect")
		return m
	}
	return tree
}

// Operations are all of the document, in its order.
func (d *Document) Operations() []Operation { return d.operations }

// Find is the operation that a request is for, if the document has it. HEAD is GET
// without a body.
func (d *Document) Find(r *http.Request) (Operation, bool) {
	if strings.Contains(r.URL.Path, "//") { // which the library takes for one
		return Operation{}, false
	}
	r = plain(r)
	path := d.rules.path(r)
	for _, o := range d.operations {
		if o.Path == path && o.Method == r.Method {
			return o, true
		}
	}
	return Operation{}, false
}

// plain is r as the functions read it: HEAD as GET, and without the slash that some
// proxies append.
func plain(r *http.Request) *http.Request {
	p := r.Clone(r.Context())
	if p.Method == http.MethodHead {
		p.Method = http.MethodGet
	}
	if p.URL.Path != "/" {
		p.URL.Path, p.URL.RawPath = strings.TrimSuffix(p.URL.Path, "/"), strings.TrimSuffix(p.URL.RawPath, "/")
	}
	return p
}

// Request returns what the document says against a request. Its body may be read again.
func (d *Document) Request(r *http.Request) error {
	if problems := d.rules.request(r); problems != "" {
		return fmt.Errorf("%s %s: %s", r.Method, r.URL.Path, problems)
	}
	return nil
}

// Answer returns what the document says against an answer. What is not in the document
// must be answered with 404 or 405, in the form of all errors.
func (d *Document) Answer(r *http.Request, status int, header http.Header, body []byte) error {
	o, known := d.Find(r)
	if !known {
		if status != http.StatusNotFound && status != http.StatusMethodNotAllowed {
			return fmt.Errorf("%s %s is not in the OpenAPI document, and is answered with %d", r.Method, r.URL.Path, status)
		}
		if r.Method == http.MethodHead {
			return nil
		}
		if header.Get("Content-Type") == "application/problem+json" {
			return d.Schema("ProblemDetails", body)
		}
		return d.Schema("Error", body)
	}
	if r.Method == http.MethodHead {
		return nil
	}
	answer := &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)), Request: r}
	if problems := d.rules.answer(plain(r), answer); problems != "" {
		return fmt.Errorf("%s (%s %s), answer %d: %s\n%s", o.ID, r.Method, r.URL.Path, status, problems, head(body))
	}
	if strings.HasPrefix(header.Get("Content-Type"), "text/event-stream") {
		return d.stream(o, body)
	}
	return nil
}

// stream holds Server-Sent Events to "x-events" of their operation.
func (d *Document) stream(o Operation, body []byte) error {
	at := "/paths/" + escape(o.Path) + "/" + strings.ToLower(o.Method) + "/responses/200/content/text~1event-stream/x-events/"
	for _, text := range strings.Split(string(body), "\n\n") {
		var name, data string
		for line := range strings.SplitSeq(text, "\n") {
			switch field, value, _ := strings.Cut(line, ": "); field {
			case "event":
				name = value
			case "data":
				data = value
			}
		}
		if name == "" || data == "" { // a comment, or the client went in the middle of it
			continue
		}
		if err := d.at(at+escape(name), []byte(data)); err != nil {
			return fmt.Errorf("%s, event %s: %w", o.ID, name, err)
		}
	}
	return nil
}

// Schema returns what a schema of the document's components says against JSON.
func (d *Document) Schema(name string, body []byte) error {
	return d.at("/components/schemas/"+escape(name), body)
}

// at holds JSON to the schema at a JSON pointer.
func (d *Document) at(pointer string, body []byte) error {
	d.compiling.Lock()
	schema, err := d.schemas.Compile(location + "#" + pointer)
	d.compiling.Unlock()
	if err != nil {
		return fmt.Errorf("schema at %s: %w", pointer, err)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("read JSON %q: %w", head(body), err)
	}
	if err := schema.Validate(value); err != nil {
		return fmt.Errorf("%s: %w", head(body), err)
	}
	return nil
}

// Examples holds every example of the document to its schema, and returns how many
// there are.
func (d *Document) Examples(text []byte) (n int, problems []error) {
	var tree any
	if err := json.Unmarshal(text, &tree); err != nil {
		return 0, []error{err}
	}
	check := func(pointer string, example any) {
		n++
		body, err := json.Marshal(example)
		if err == nil {
			err = d.at(pointer, body)
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("example at %s: %w", pointer, err))
		}
	}
	var walk func(pointer string, node any)
	walk = func(pointer string, node any) {
		switch node := node.(type) {
		case []any:
			for i, v := range node {
				walk(fmt.Sprintf("%s/%d", pointer, i), v)
			}
		case map[string]any:
			if _, has := node["schema"]; has { // a parameter, a header or a media type
				if example, has := node["example"]; has {
					check(pointer+"/schema", example)
				}
				named, _ := node["examples"].(map[string]any)
				for _, e := range named {
					check(pointer+"/schema", e.(map[string]any)["value"])
				}
			}
			if list, has := node["examples"].([]any); has { // a schema
				for _, e := range list {
					check(pointer, e)
				}
			}
			for name, v := range node {
				if name != "example" && name != "examples" {
					walk(pointer+"/"+escape(name), v)
				}
			}
		}
	}
	walk("", tree)
	return n, problems
}

// escape makes one token of a JSON pointer, as it stands in a URI's fragment.
func escape(token string) string {
	return strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D").Replace(token)
}

func head(body []byte) string { return string(body[:min(len(body), 500)]) }

// Checker holds what passes through handlers to the document.
type Checker struct {
	document *Document
	t        testing.TB
	mu       sync.Mutex
	seen     map[string]map[int]bool
	requests bool
}

// New makes a Checker whose finds are errors of t.
func New(t testing.TB) *Checker {
	t.Helper()
	d, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	return &Checker{document: d, t: t, seen: map[string]map[int]bool{}}
}

// Requests lets c hold requests to the document too, as those of a client of ours.
func (c *Checker) Requests() *Checker {
	c.requests = true
	return c
}

// Seen are the statuses that an operation was answered with.
func (c *Checker) Seen(id string) []int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Sorted(maps.Keys(c.seen[id]))
}

// note keeps the status of an answer: as it begins, for a client may have all of it before
// its handler has ended.
func (c *Checker) note(r *http.Request, status int) {
	o, known := c.document.Find(r)
	if !known {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.seen[o.ID] == nil {
		c.seen[o.ID] = map[int]bool{}
	}
	c.seen[o.ID][status] = true
}

// Wrap is h with every answer held to the document. An answer that h breaks off is not.
func (c *Checker) Wrap(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c.requests {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				c.t.Errorf("read request: %v", err)
			}
			r.Body = io.NopCloser(bytes.NewReader(body))
			if err := c.document.Request(r); err != nil {
				c.t.Error(err)
			}
			r.Body = io.NopCloser(bytes.NewReader(body))
		}
		out := &tee{ResponseWriter: w, answered: func(status int) { c.note(r, status) }}
		h.ServeHTTP(out, r)
		status := max(out.status, http.StatusOK)
		if out.status == 0 {
			c.note(r, status)
		}
		body, err := unpacked(w.Header(), out.body.Bytes())
		if err == nil {
			err = c.document.Answer(r, status, w.Header(), body)
		}
		if err != nil {
			c.t.Error(err)
		}
	})
}

// Wrap is h with every answer held to the document, where t is a test; benchmarks
// measure h alone.
func Wrap(t testing.TB, h http.Handler) http.Handler {
	t.Helper()
	if _, ok := t.(*testing.B); ok {
		return h
	}
	return New(t).Wrap(h)
}

// unpacked is a body without its compression.
func unpacked(header http.Header, body []byte) ([]byte, error) {
	if header.Get("Content-Encoding") != "gzip" {
		return body, nil
	}
	text, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("answer in gzip: %w", err)
	}
	return io.ReadAll(text)
}

// tee keeps what is written.
type tee struct {
	http.ResponseWriter

	status   int
	body     bytes.Buffer
	answered func(status int)
}

func (w *tee) WriteHeader(status int) {
	if w.status == 0 && status >= http.StatusOK {
		w.status = status
		w.answered(status)
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *tee) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	w.body.Write(b)
	return w.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController through.
func (w *tee) Unwrap() http.ResponseWriter { return w.ResponseWriter }
