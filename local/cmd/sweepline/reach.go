package main

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	api "github.com/zixly/sweepline/shared/client"
)

// A watcher that sees nothing must know whether there is nothing to see. A connection
// that breaks tells; of a server that is stuck, or behind a network that drops
// everything, only a question without an answer does. Both together are below 2 s.
const (
	probeEvery = 900 * time.Millisecond
	probeLimit = time.Second
)

// reach tells a person, once each time it changes, whether the server answers.
type reach struct {
	w    io.Writer
	base string

	mu sync.Mutex
	// lost: it was said that the server does not answer. broken: the stream has
	// ended, so that answers to other questions do not mean that it is back.
	lost, broken bool
}

// say writes a line of its own, in place of a bar that may stand there.
func (r *reach) say(text string) {
	if _, terminal := terminalWidth(r.w); terminal {
		text = "\r\x1b[K" + text
	}
	fmt.Fprintln(r.w, text)
}

// away notes that the server did not answer.
func (r *reach) away(broken bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.broken = r.broken || broken
	if !r.lost {
		r.lost = true
		r.say(r.base + " does not answer; trying again (Ctrl-C stops watching)")
	}
}

// back notes that the server answered: to the stream's request, or to another.
func (r *reach) back(stream bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if stream {
		r.broken = false
	}
	if r.lost && !r.broken {
		r.lost = false
		r.say(r.base + " answers again")
	}
}

// during runs a stream, and tells of it.
func (r *reach) during(ctx context.Context, c *api.Client, stream func(context.Context, api.Connection) error) error {
	ctx, cancel := context.WithCancel(ctx)
	var probing sync.WaitGroup
	probing.Go(func() { r.probe(ctx, c) })
	defer probing.Wait()
	defer cancel()
	return stream(ctx, api.Connection{Lost: func() { r.away(true) }, Open: func() { r.back(true) }})
}

// probe asks whether the server answers, until ctx ends.
func (r *reach) probe(ctx context.Context, c *api.Client) {
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		switch err := ask(ctx, c); {
		case err == nil:
			r.back(false)
		case ctx.Err() == nil:
			r.away(false)
		}
	}
}

func ask(ctx context.Context, c *api.Client) error {
	ctx, cancel := context.WithTimeout(ctx, probeLimit)
	defer cancel()
	return c.Ping(ctx)
}
