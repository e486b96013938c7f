package function

import (
	"errors"
	"slices"
)

// Closers are what a function has opened and closes with itself.
type Closers []func() error

// Add adds what is to be closed.
func (c *Closers) Add(closer func() error) { *c = append(*c, closer) }

// Close closes everything, the last first.
func (c *Closers) Close() error {
	var errs []error
	for _, closer := range slices.Backward(*c) {
		errs = append(errs, closer())
	}
	*c = nil
	return errors.Join(errs...)
}

// CloseOnError is deferred by what opens them: it closes everything if *err is set.
func (c *Closers) CloseOnError(err *error) {
	if *err != nil {
		*err = errors.Join(*err, c.Close())
	}
}
