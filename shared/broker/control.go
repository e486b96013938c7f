package broker

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"
)

// controlPoll is how late a pause can be noticed where its message was lost.
const controlPoll = 5 * time.Second

// watchControl follows pauses, resumes and redrives, which the Inspector writes
// to Redis and announces on a channel.
func (s *Server) watchControl(ctx context.Context) {
	pubsub := s.readers.Subscribe(ctx, controlChannel)
	defer func() { _ = pubsub.Close() }() // the connection is not used again
	messages := pubsub.ChannelWithSubscriptions()
	ticker := time.NewTicker(controlPoll)
	defer ticker.Stop()
	for {
		only := ""
		select {
		case msg, ok := <-messages:
			if !ok {
				messages = nil
				continue
			}
			// Else it is the word that the subscription stands, or stands again:
			// what was announced before was missed.
			if m, ok := msg.(*redis.Message); ok {
				only = m.Payload
			}
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		for _, sub := range s.running() {
			if only != "" && only != sub.trigger.key().String() {
				continue
			}
			sub.refreshPause(ctx)
			if only != "" {
				sub.wake()
			}
		}
	}
}

// wake makes the retry loops look again.
func (sub *subscription) wake() {
	for _, l := range sub.lanes {
		select {
		case l.wakeRetries <- struct{}{}:
		default:
		}
	}
}

// isPaused asks Redis.
func (s *Server) isPaused(ctx context.Context, t Trigger) (bool, error) {
	ctx, cancel := s.call(ctx)
	defer cancel()
	return s.rdb.SIsMember(ctx, newPartition(t.broker(), 0).paused(), t.Name).Result()
}

// refreshPause takes up the pause state; where Redis cannot be asked, the
// trigger goes on as it is.
func (sub *subscription) refreshPause(ctx context.Context) {
	paused, err := sub.srv.isPaused(ctx, sub.trigger)
	if err != nil {
		sub.srv.log.WarnContext(ctx, "Pause state cannot be read", "trigger", sub.trigger.key().String(), "error", err)
		return
	}
	sub.setPaused(paused)
}
