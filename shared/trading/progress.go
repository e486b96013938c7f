package trading

import (
	"errors"
	"time"
)

// Progress is how often running sweeps are asked how far they are. It is part of the
// configuration of the step that starts sweeps and of the one that watches them.
type Progress struct {
	// ProgressEvery is the interval of polls from a sweep's start until its estimate has
	// passed, so that progress is seen. It costs calls of the API's budget. 0 is none.
	// Default 0.
	ProgressEvery time.Duration `envconfig:"POLL_PROGRESS" default:"0"`
}

// CheckProgress names what is wrong. The API wants no more than one poll a second a job.
func (p Progress) CheckProgress() error {
	if p.ProgressEvery != 0 && p.ProgressEvery < time.Second {
		return errors.New("POLL_PROGRESS: must be 0 or at least 1s, the API's limit")
	}
	return nil
}
