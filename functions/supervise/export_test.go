package supervise

import "context"

// Tend and Deal are one turn of the loops, for tests that own the clock.
var Tend = (*Function).tend

// Deal deals until there is nothing left to deal, and waits for the calls.
func Deal(f *Function, ctx context.Context) error {
	for range 20 {
		select {
		case <-f.calls.freed:
		default:
		}
		_, err := f.deal(ctx)
		f.calls.wait()
		if err != nil {
			return err
		}
	}
	return nil
}
