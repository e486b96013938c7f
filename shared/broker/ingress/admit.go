package ingress

import (
	"errors"
	"net/http"

	"github.com/zixly/sweepline/shared/broker/cloudevent"
	"github.com/zixly/sweepline/shared/broker/filter"
	"github.com/zixly/sweepline/shared/broker/stream"
)

// Admit says who sends a request to a Broker, and what of it is taken. It is asked
// before the body is read. An error that wraps neither ErrUnauthenticated nor
// ErrForbidden says that it cannot be known now: 503.
type Admit func(*http.Request, stream.Broker) (Admission, error)

// Admission is what a sender may post.
type Admission struct {
	// Sender is who posts, for logs.
	Sender string
	// Allows reports whether the sender may post an event; nil allows all.
	Allows func(filter.Attributes) bool
}

var (
	// ErrUnauthenticated: the sender does not prove who it is. 401.
	ErrUnauthenticated = errors.New("sender is not authenticated")
	// ErrForbidden: the sender may not post here. 403.
	ErrForbidden = errors.New("sender may not post events here")
)

// admitted asks Config.Admit. A status other than 0 is the refusal.
func (h *Handler) admitted(w http.ResponseWriter, r *http.Request, b *Broker) (Admission, int, string) {
	if h.admit == nil {
		return Admission{}, 0, ""
	}
	a, err := h.admit(r, b.name)
	switch {
	case err == nil:
		return a, 0, ""
	case errors.Is(err, ErrUnauthenticated):
		w.Header().Set("WWW-Authenticate", "Bearer")
		h.failed(r.Context(), b, a.Sender, err)
		return a, http.StatusUnauthorized, ErrUnauthenticated.Error()
	case errors.Is(err, ErrForbidden):
		h.failed(r.Context(), b, a.Sender, err)
		return a, http.StatusForbidden, ErrForbidden.Error()
	}
	h.failed(r.Context(), b, a.Sender, err)
	return a, http.StatusServiceUnavailable, "the broker cannot tell senders apart now"
}

// allows reports whether all of a request's events are the sender's to post: a batch is
// taken as a whole or not at all.
func (a Admission) allows(messages []*cloudevent.Message) bool {
	if a.Allows == nil {
		return true
	}
	for _, m := range messages {
		if !a.Allows(m) {
			return false
		}
	}
	return true
}
