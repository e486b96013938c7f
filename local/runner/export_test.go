package runner

import (
	cloudevents "github.com/cloudevents/sdk-go/v2/event"

	"github.com/zixly/sweepline/shared/jobstore"
)

// RedisURL is what the steps connect to.
func (l *Local) RedisURL() string { return l.stores.redisURL }

// StepURLs are the ports of the functions.
func (l *Local) StepURLs() []string {
	var urls []string
	for _, s := range l.steps {
		urls = append(urls, s.at.url())
	}
	return urls
}

// Logins are the job store as it is written, surveyed and read.
func (l *Local) Logins() (write, survey, read jobstore.Store) {
	return l.stores.jobStore, l.stores.surveyor, l.stores.reader
}

// Sending is notify's claims where Redis is in memory.
type Sending = sending

// OpenSending reads what an earlier process left unfinished.
var OpenSending = openSending

// Stored is called for every event that the job store knows.
func (s *sending) Stored(e cloudevents.Event) error { return s.stored(e) }
