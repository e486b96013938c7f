package broker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// register writes the set into Redis, where the Inspector and other processes
// read it: brokers, their number of streams, triggers, and a group for each
// trigger on each stream. It returns the number of streams of each broker.
func (s *Server) register(ctx context.Context, set Set) (map[Broker]int, error) {
	partitions := make(map[Broker]int, len(set.Brokers))
	for _, b := range set.Brokers {
		n, err := s.registerBroker(ctx, b)
		if err != nil {
			return nil, fmt.Errorf("register broker %s: %w", b, err)
		}
		partitions[b] = n
	}
	for _, t := range set.Triggers {
		b := t.broker()
		if err := s.registerTrigger(ctx, t, partitions[b]); err != nil {
			return nil, fmt.Errorf("register trigger %s/%s: %w", t.Namespace, t.Name, err)
		}
	}
	return partitions, nil
}

// retireTriggers removes what earlier sets held and this one does not. It comes after
// the removed triggers have stopped reading here, or they would make their group
// again.
func (s *Server) retireTriggers(ctx context.Context, set Set, partitions map[Broker]int) error {
	wanted := make(map[Broker]map[string]bool, len(set.Brokers))
	for _, t := range set.Triggers {
		b := t.broker()
		if wanted[b] == nil {
			wanted[b] = make(map[string]bool)
		}
		wanted[b][t.Name] = true
	}
	for _, b := range set.Brokers {
		if err := s.unregister(ctx, b, partitions[b], wanted[b]); err != nil {
			return fmt.Errorf("remove triggers of broker %s: %w", b, err)
		}
	}
	return nil
}

func (s *Server) call(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, 2*s.cfg.RedisTimeout)
}

func (s *Server) registerBroker(ctx context.Context, b Broker) (int, error) {
	ctx, cancel := s.call(ctx)
	defer cancel()
	if err := s.rdb.SAdd(ctx, brokersKey, b.String()).Err(); err != nil {
		return 0, err
	}
	meta := newPartition(b, 0).meta()
	n, err := partitionsOf(ctx, s.rdb, b)
	if err != nil {
		return 0, err
	}
	n = max(n, s.cfg.Partitions)
	return n, s.rdb.HSet(ctx, meta, "partitions", n).Err()
}

func (s *Server) registerTrigger(ctx context.Context, t Trigger, partitions int) error {
	start, err := startID(t.StartFrom)
	if err != nil {
		return err
	}
	for p := range partitions {
		if err := s.createGroup(ctx, newPartition(t.broker(), p), t.Name, start); err != nil {
			return err
		}
	}
	return s.describe(ctx, t)
}

// describe writes what the Inspector shows of a trigger.
func (s *Server) describe(ctx context.Context, t Trigger) error {
	info, err := json.Marshal(infoOf(t))
	if err != nil {
		return err
	}
	ctx, cancel := s.call(ctx)
	defer cancel()
	return s.rdb.HSet(ctx, newPartition(t.broker(), 0).triggers(), t.Name, info).Err()
}

// errRemoved is a group that is missing because its trigger was removed.
var errRemoved = errors.New("trigger was removed by another process")

// restore makes a missing group again, after the id that was read last. Where
// everything is gone (a flush) it registers broker and trigger, too; where the
// broker is there and the trigger is not, another process has removed it.
func (s *Server) restore(ctx context.Context, t Trigger, p partition, after string) error {
	call, cancel := s.call(ctx)
	defer cancel()
	zero := newPartition(p.broker, 0)
	registered, err := s.rdb.Exists(call, zero.meta()).Result()
	if err != nil {
		return err
	}
	if registered == 0 {
		if _, err := s.registerBroker(ctx, p.broker); err != nil {
			return err
		}
		for _, sub := range s.running() { // all at once, or the others seem removed
			if sub.trigger.broker() == p.broker {
				if err := s.describe(ctx, sub.trigger); err != nil {
					return err
				}
			}
		}
	}
	known := func() (bool, error) { return s.rdb.HExists(call, zero.triggers(), t.Name).Result() }
	if ok, err := known(); err != nil || !ok {
		return errors.Join(err, removed(ok, err))
	}
	if err := s.createGroup(ctx, p, t.Name, after); err != nil {
		return err
	}
	// unregister takes the name out before it destroys the group. A removal
	// that came between our look and our group is seen now: without this second
	// look the group would stay, unread, and hold up trimming.
	ok, err := known()
	if err != nil || ok {
		return err
	}
	return errors.Join(errRemoved, s.rdb.XGroupDestroy(call, p.stream(), t.Name).Err())
}

func removed(known bool, err error) error {
	if err == nil && !known {
		return errRemoved
	}
	return nil
}

// createGroup makes the group, and the stream if need be; an existing group is
// left where it is.
func (s *Server) createGroup(ctx context.Context, p partition, group, start string) error {
	ctx, cancel := s.call(ctx)
	defer cancel()
	err := s.rdb.XGroupCreateMkStream(ctx, p.stream(), group, start).Err()
	if err == nil || hasCode(err, "BUSYGROUP") {
		return nil
	}
	return fmt.Errorf("create group: %w", err)
}

// unregister destroys the groups of triggers that are not wanted any more. Their
// retries go with them; their dead letters stay until discarded. The name goes
// before the group, or a reader elsewhere makes the group again; should we die
// in between, the next call finds the name among the former ones.
func (s *Server) unregister(ctx context.Context, b Broker, partitions int, wanted map[string]bool) error {
	ctx, cancel := s.call(ctx)
	defer cancel()
	zero := newPartition(b, 0)
	names, err := s.rdb.HKeys(ctx, zero.triggers()).Result()
	if err != nil {
		return err
	}
	former, err := s.rdb.SMembers(ctx, zero.former()).Result()
	if err != nil {
		return err
	}
	for _, name := range append(names, former...) {
		if wanted[name] {
			continue
		}
		if err := s.rdb.SAdd(ctx, zero.former(), name).Err(); err != nil {
			return err
		}
		if err := s.rdb.HDel(ctx, zero.triggers(), name).Err(); err != nil {
			return err
		}
		for i := range partitions {
			p := newPartition(b, i)
			if err := s.rdb.XGroupDestroy(ctx, p.stream(), name).Err(); err != nil && !hasCode(err, "ERR") {
				return err
			}
			if err := s.rdb.Del(ctx, p.due(name), p.retries(name)).Err(); err != nil {
				return err
			}
		}
		if err := s.rdb.SRem(ctx, zero.paused(), name).Err(); err != nil {
			return err
		}
	}
	return nil
}

// startID is the id after which a new group begins to read.
func startID(from string) (string, error) {
	switch from {
	case "":
		return "$", nil
	case "earliest":
		return "0-0", nil
	}
	if t, err := time.Parse(time.RFC3339, from); err == nil {
		return beforeTime(t), nil
	}
	if _, _, ok := splitID(from); ok {
		return from, nil
	}
	return "", fmt.Errorf("%q is neither \"earliest\", an RFC 3339 time nor a stream id", from)
}

// beforeTime is an id before all entries of t's millisecond.
func beforeTime(t time.Time) string {
	return strconv.FormatInt(max(t.UnixMilli()-1, 0), 10) + "-0"
}
