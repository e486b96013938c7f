package redisclient

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"
)

// Agree stores value under key unless something is there, and returns what is there:
// all who ask get the same.
func Agree(ctx context.Context, client redis.UniversalClient, key, value string) (string, error) {
	set, err := client.SetNX(ctx, key, value, 0).Result()
	if err != nil {
		return "", fmt.Errorf("agree on %s: %w", key, err)
	}
	if set {
		return value, nil
	}
	there, err := client.Get(ctx, key).Result()
	if err != nil {
		return "", fmt.Errorf("agree on %s: %w", key, err)
	}
	return there, nil
}
