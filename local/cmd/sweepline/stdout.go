package main

import (
	"os"
	"sync"
)

// stdout is the standard output of all commands. It keeps the first error of a write, for
// run: tables, help and what else is printed piece by piece does not look at each write.
type stdout struct {
	file *os.File

	mu  sync.Mutex
	err error
}

// Write writes to the standard output. After an error nothing more is written: a part in
// the middle must not be missing.
func (s *stdout) Write(text []byte) (int, error) {
	if err := s.failed(); err != nil {
		return 0, err
	}
	n, err := s.file.Write(text)
	if err != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.err = err
	}
	return n, err
}

// Fd is its number, by which terminals are recognized.
func (s *stdout) Fd() uintptr { return s.file.Fd() }

// failed is the first error of a write, or nil.
func (s *stdout) failed() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}
