package supervise

import (
	"context"
	"time"
)

// HandleDue and AdmitNext are one pass of the loops, for tests that own the clock.
var HandleDue = (*Function).handleDue

// AdmitOnce admits and grants once and waits for the calls.
func AdmitOnce(f *Function, ctx context.Context) (time.Duration, error) {
	again, err := f.admit(ctx)
	f.calls.wait()
	select {
	case <-f.calls.freed:
		again = 0 // as the loop would be woken
	default:
	}
	return again, err
}

// AdmitNext admits and grants until nothing is left, and waits for the calls.
func AdmitNext(f *Function, ctx context.Context) error {
	for {
		d, err := f.admitOnce(ctx)
		f.calls.wait()
		if err != nil || len(d.Admitted)+len(d.Calls) == 0 {
			return err
		}
	}
}
