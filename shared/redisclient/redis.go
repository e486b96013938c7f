// Package redisclient opens the Redis that REDIS_URL names, in the one place that knows
// which kinds of address there are.
package redisclient

import (
	"errors"
	"net/url"
	"time"

	"github.com/redis/go-redis/v9"
)

// Timeouts of one try at Redis. A commit with fsync takes milliseconds; seconds
// mean that it is not there.
const (
	dialTimeout  = 2 * time.Second
	redisTimeout = 3 * time.Second
)

// protocol is RESP2: nothing here uses what RESP3 adds, and with it the client looks
// for pushed messages at every answer.
const protocol = 2

// errAddress does not repeat the address, which may hold a password.
var errAddress = errors.New("REDIS_URL is not a Redis URL: it must look like redis://host:6379/0, " +
	"redis://host:6379?addr=host2:6379&addr=host3:6379 (Cluster) or redis://sentinel:26379?master_name=NAME (Sentinel)")

// New opens a client for one server (redis, rediss, unix), for a Redis Cluster
// (further nodes as addr=HOST:PORT) or for the primary that Sentinels know by a
// name (master_name=NAME, further Sentinels as addr=HOST:PORT; user and password
// before the host are the Sentinels', those of Redis go into username= and
// password=). It does no I/O.
func New(address string) (redis.UniversalClient, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, errAddress
	}
	switch q := u.Query(); {
	case q.Has("master_name"):
		o, err := redis.ParseFailoverURL(address)
		if err != nil || o.MasterName == "" || o.RouteByLatency || o.RouteRandomly || o.ReplicaOnly {
			return nil, errAddress
		}
		o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.ContextTimeoutEnabled = dialTimeout, redisTimeout, redisTimeout, true
		o.Protocol = protocol
		return redis.NewFailoverClient(o), nil
	case q.Has("addr"):
		o, err := redis.ParseClusterURL(address)
		if err != nil {
			return nil, errAddress
		}
		o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.ContextTimeoutEnabled = dialTimeout, redisTimeout, redisTimeout, true
		o.Protocol = protocol
		return redis.NewClusterClient(o), nil
	default:
		o, err := redis.ParseURL(address)
		if err != nil {
			return nil, errAddress
		}
		o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.ContextTimeoutEnabled = dialTimeout, redisTimeout, redisTimeout, true
		o.Protocol = protocol
		return redis.NewClient(o), nil
	}
}
