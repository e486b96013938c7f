// Package contract is what the control plane tells a data plane, as the data plane
// reads it: one Broker and its Triggers, every subscriber resolved to a URI, in the
// YAML that shared/broker/manifest reads on a laptop, too. It travels in a ConfigMap
// whose keys are files where it is mounted, and package write makes it.
package contract

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"github.com/zixly/sweepline/shared/broker"
	"github.com/zixly/sweepline/shared/broker/manifest"
)

// The keys of the ConfigMap, and the files of its mount.
const (
	GenerationFile = "generation"
	PurgeFile      = "purge"
	BrokerFile     = "broker.yaml"
	TriggersFile   = "triggers.yaml"
)

// Served is a Contract as the data plane uses it.
type Served struct {
	Generation int64
	// Broker is "namespace/name", of Set or Purge.
	Broker string
	Purge  string
	// Set has the generation for its version.
	Set broker.Set
	// Access says who may post; nil lets everybody in.
	Access *Access
}

// Read reads the mounted files of one Contract. A contract is read as a whole or not
// at all, but for Triggers that this version does not understand: they are in
// Set.Invalid.
func Read(fsys fs.FS) (Served, error) {
	var s Served
	var err error
	if s.Generation, err = Generation(fsys); err != nil {
		return s, err
	}
	switch text, err := fs.ReadFile(fsys, PurgeFile); {
	case err == nil:
		s.Purge = string(bytes.TrimSpace(text))
	case !errors.Is(err, fs.ErrNotExist):
		return s, fmt.Errorf("read contract: %w", err)
	}
	if s.Access, err = access(fsys); err != nil {
		return s, fmt.Errorf("read contract: %w", err)
	}
	if s.Set, err = manifest.Load(fsys, manifest.Options{}); err != nil {
		return s, fmt.Errorf("read contract: %w", err)
	}
	if len(s.Set.Problems) > 0 {
		return s, fmt.Errorf("read contract: %s", strings.Join(s.Set.Problems, "; "))
	}
	s.Set.Partial = false // nothing is what a purge serves
	s.Set.Version = s.Generation
	s.Broker = s.Purge
	for _, b := range s.Set.Brokers {
		s.Broker = b.String()
	}
	return s, nil
}

// Generation reads the generation of a mounted Contract, to see whether it has
// changed.
func Generation(fsys fs.FS) (int64, error) {
	text, err := fs.ReadFile(fsys, GenerationFile)
	if err != nil {
		return 0, fmt.Errorf("read contract: %w", err)
	}
	g, err := strconv.ParseInt(string(bytes.TrimSpace(text)), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("read contract: generation: %w", err)
	}
	return g, nil
}
