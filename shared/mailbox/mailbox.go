// Package mailbox keeps the messages that nobody was sent: on a laptop without
// Slack or a mail server, notify puts them here and the dashboard shows them. It
// lives in memory and dies with the process.
package mailbox

import (
	"context"
	"slices"
	"sync"
	"time"
)

// Bounds of a Box. A message of notify takes some 10 kB and holds its job with its best
// rows.
const (
	// MostMessages is how many are kept; older ones are forgotten.
	MostMessages = 100
	// MostBytes bounds what they take together.
	MostBytes = 16 << 20
)

// Message is what would have been sent of one job.
type Message struct {
	// JobID is the message's id as well: a job ends once.
	JobID, TenantID string
	At              time.Time
	Completed       bool
	// Subject, Text and HTML are the mail.
	Subject, Text, HTML string
	// Picture draws the mail's picture, a PNG, or gives nil where that cannot be done now.
	// It is nil where the mail has none.
	Picture func(ctx context.Context) []byte
	// PictureSrc is the address under which HTML names the picture.
	PictureSrc string
	// Slack is the webhook's body, JSON.
	Slack []byte
}

func (m Message) size() int {
	return len(m.JobID) + len(m.TenantID) + len(m.Subject) + len(m.Text) + len(m.HTML) + len(m.PictureSrc) + len(m.Slack)
}

// Box holds messages. The zero value is empty and ready; many goroutines may use
// it.
type Box struct {
	mu       sync.Mutex
	messages []Message // oldest first
	bytes    int
}

// Put adds a message, in place of an earlier one of the same job, and forgets
// the oldest ones beyond the bounds. The caller leaves its bytes as they are.
func (b *Box) Put(m Message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if i := b.find(m.TenantID, m.JobID); i >= 0 {
		b.drop(i)
	}
	b.messages, b.bytes = append(b.messages, m), b.bytes+m.size()
	for len(b.messages) > MostMessages || b.bytes > MostBytes {
		b.drop(0)
	}
}

// Messages gives a tenant's messages, newest first.
func (b *Box) Messages(tenant string) []Message {
	b.mu.Lock()
	defer b.mu.Unlock()
	var mine []Message
	for _, m := range slices.Backward(b.messages) {
		if m.TenantID == tenant {
			mine = append(mine, m)
		}
	}
	return mine
}

// Message gives one; false where the tenant has no such message, or no more.
func (b *Box) Message(tenant, jobID string) (Message, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if i := b.find(tenant, jobID); i >= 0 {
		return b.messages[i], true
	}
	return Message{}, false
}

func (b *Box) find(tenant, jobID string) int {
	return slices.IndexFunc(b.messages, func(m Message) bool { return m.TenantID == tenant && m.JobID == jobID })
}

func (b *Box) drop(i int) {
	b.bytes -= b.messages[i].size()
	b.messages = slices.Delete(b.messages, i, i+1)
}
