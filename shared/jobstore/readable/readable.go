// Package readable tells, before an event is stored anywhere, whether a job store
// could ever take it.
package readable

import (
	cloudevents "github.com/cloudevents/sdk-go/v2/event"

	"github.com/zixly/sweepline/shared/jobstore/internal/fold"
)

// Check returns jobstore.ErrUnreadable, with the reason, for an event that Apply
// would never store.
func Check(e cloudevents.Event) error {
	_, err := fold.One(e)
	return err
}
