package dashboard

import (
	"context"
	"fmt"
	"sync"

	"github.com/zixly/sweepline/shared/heatmap"
	"github.com/zixly/sweepline/shared/job"
)

// keptSurfaces bounds the surfaces that a process remembers: 200 KB each at most.
const keptSurfaces = 64

// surfaces remembers surfaces of ended jobs, whose rows never change.
type surfaces struct {
	mu    sync.Mutex
	kept  map[string]*heatmap.Surface
	order []string
	// reading are those being read, each once for all who look; readers do it.
	reading map[string]*reading
	readers sync.WaitGroup
}

// reading is a surface that is being read, or computed.
type reading struct {
	// done is closed when read and err are set.
	done chan struct{}
	read *heatmap.Surface
	err  error
	// askers are those who wait for it. When the last one goes, cancel ends it.
	askers int
	cancel context.CancelFunc
}

// surface reads the surface of a completed job; nil where there is none. It does so once
// for all who ask meanwhile, and for no longer than one of them waits.
func (f *Function) surface(ctx context.Context, j job.Job) (*heatmap.Surface, error) {
	key, s := j.TenantID+"/"+j.JobID, &f.surfaces
	s.mu.Lock()
	if read, ok := s.kept[key]; ok {
		s.mu.Unlock()
		return read, nil
	}
	d := s.reading[key]
	if d == nil {
		work, cancel := context.WithCancel(context.WithoutCancel(ctx))
		d = &reading{done: make(chan struct{}), cancel: cancel}
		if s.reading == nil {
			s.reading = map[string]*reading{}
		}
		s.reading[key] = d
		s.readers.Go(func() {
			read, err := f.readSurface(work, j)
			cancel()
			s.finish(key, d, read, err)
		})
	}
	d.askers++
	s.mu.Unlock()
	select {
	case <-d.done:
		return d.read, d.err
	case <-ctx.Done():
		s.leave(key, d)
		return nil, context.Cause(ctx)
	}
}

// leave is called by an asker who does not wait any longer.
func (s *surfaces) leave(key string, d *reading) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d.askers--; d.askers == 0 {
		d.cancel()
		if s.reading[key] == d {
			delete(s.reading, key) // who comes now begins anew
		}
	}
}

func (s *surfaces) finish(key string, d *reading, read *heatmap.Surface, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reading[key] == d {
		delete(s.reading, key)
	}
	if d.read, d.err = read, err; read != nil {
		s.keep(key, read)
	}
	close(d.done)
}

// readSurface computes a surface that is not stored within the owner's share of large
// reads.
func (f *Function) readSurface(ctx context.Context, j job.Job) (_ *heatmap.Surface, err error) {
	defer func() {
		if p := recover(); p != nil { // as net/http does for a handler
			err = fmt.Errorf("reading a surface panicked: %v", p)
		}
	}()
	release := func() {}
	defer func() { release() }()
	s, ok, err := heatmap.Read(ctx, f.jobs.Store, j, func() (err error) {
		taken, err := f.jobs.TakeRead(ctx, j.TenantID)
		if err == nil {
			release = taken
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read surface: %w", err)
	}
	if !ok {
		return nil, nil //nolint:nilnil // nothing to draw is no mistake
	}
	return &s, nil
}

// keep is called with the lock.
func (s *surfaces) keep(key string, read *heatmap.Surface) {
	if s.kept == nil {
		s.kept = map[string]*heatmap.Surface{}
	}
	if _, known := s.kept[key]; known {
		return
	}
	if len(s.order) == keptSurfaces {
		delete(s.kept, s.order[0])
		s.order = s.order[1:]
	}
	s.kept[key], s.order = read, append(s.order, key)
}
