package wait

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// Summary is what Walk returns of a record.
type Summary struct {
	JobID string
	State State
	// At is when the job ended, or, before its submission, when it was accepted;
	// zero in the states between.
	At time.Time
	// EventRefused: see Record.
	EventRefused bool
}

// Walk visits every record, in no order and a page at a time; one that
// is moved meanwhile may be shown twice or, if it is new, not at all. It costs
// Redis a look at every key, in steps of about size, and a short read of each
// record: not for use every minute. visit's error ends it.
func (w *Waits) Walk(ctx context.Context, size int, visit func([]Summary) error) error {
	if cluster, ok := w.redis.(*redis.ClusterClient); ok {
		var nodes []*redis.Client // ForEachMaster calls at once, visit is called by one
		lock := make(chan struct{}, 1)
		if err := cluster.ForEachMaster(ctx, func(_ context.Context, c *redis.Client) error {
			lock <- struct{}{}
			nodes = append(nodes, c)
			<-lock
			return nil
		}); err != nil {
			return fmt.Errorf("walk waits: %w", err)
		}
		for _, c := range nodes {
			if err := w.walkNode(ctx, c, size, visit); err != nil {
				return err
			}
		}
		return nil
	}
	return w.walkNode(ctx, w.redis, size, visit)
}

func (w *Waits) walkNode(ctx context.Context, node redis.Cmdable, size int, visit func([]Summary) error) error {
	pattern := globEscape.Replace(w.keys.base()) + "*"
	for cursor := uint64(0); ; {
		found, next, err := node.Scan(ctx, cursor, pattern, int64(size)).Result()
		if err != nil {
			return fmt.Errorf("walk waits: %w", err)
		}
		keys := found[:0]
		for _, key := range found {
			if w.keys.isRecord(key) {
				keys = append(keys, key)
			}
		}
		if len(keys) > 0 {
			page, err := w.summarize(ctx, node, keys)
			if err != nil {
				return err
			}
			if err := visit(page); err != nil {
				return err
			}
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}

// globEscape keeps the characters of a prefix from meaning something in MATCH.
var globEscape = strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`, "]", `\]`)

func (w *Waits) summarize(ctx context.Context, node redis.Cmdable, keys []string) ([]Summary, error) {
	cmds := make([]*redis.SliceCmd, len(keys))
	if _, err := node.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, key := range keys {
			cmds[i] = p.HMGet(ctx, key, "s", "z", "O", "h")
		}
		return nil
	}); err != nil {
		return nil, fmt.Errorf("walk waits: %w", err)
	}
	page := make([]Summary, 0, len(keys))
	for i, cmd := range cmds {
		jobID, ok := unpack(keys[i][len(keys[i])-idSize:])
		f := texts(cmd.Val())
		state, known := stateOf[f[0]]
		if !ok || !known {
			continue // gone since, or none of ours
		}
		g := Summary{JobID: jobID, State: state, EventRefused: f[2] != ""}
		switch ms := number(f[1]); {
		case ms > 0:
			g.At = time.UnixMilli(ms).UTC()
		case state == Accepted:
			h, err := decodeHeader(jobID, f[3])
			if err != nil {
				continue // Due logs it
			}
			g.At = h.CreatedAt
		}
		page = append(page, g)
	}
	return page, nil
}

// texts are the values of HMGET, empty where a field is not there.
func texts(values []any) []string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i], _ = v.(string)
	}
	return out
}
