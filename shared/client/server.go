package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// Ping is nil where anybody answers, whatever it says: an Error is an answer.
func (c *Client) Ping(ctx context.Context) error {
	err := c.do(ctx, call{method: http.MethodGet, path: "/api/ping"}, nil)
	if _, answered := errors.AsType[*Error](err); answered {
		return nil
	}
	return err
}

// Version is what the server is built of.
type Version struct {
	Version string `json:"version"`
	// Revision is the commit, and Time when it was made; Modified says that the tree was
	// changed since. Empty where the build does not tell.
	Revision string     `json:"revision,omitempty"`
	Time     *time.Time `json:"time,omitempty"`
	Modified bool       `json:"modified,omitempty"`
	Go       string     `json:"go"`
}

// Version reads what the server is built of.
func (c *Client) Version(ctx context.Context) (Version, error) {
	var v Version
	err := c.do(ctx, call{method: http.MethodGet, path: "/version"}, &v)
	return v, err
}

// OpenAPI reads the API's description, in JSON.
func (c *Client) OpenAPI(ctx context.Context) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	resp, err := c.open(ctx, call{method: http.MethodGet, path: "/openapi.json"})
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("read answer of %s: %w", c.base, err)
	}
	return text, nil
}
