package redisclient

import (
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

func TestRedis(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]redis.UniversalClient{
		"redis://user:secret@localhost:6379/1":                       &redis.Client{},
		"rediss://localhost":                                         &redis.Client{},
		"unix:///run/redis.sock":                                     &redis.Client{},
		"redis://a:6379?addr=b:6379&addr=c:6379":                     &redis.ClusterClient{},
		"redis://a:26379/0?master_name=main&addr=b:26379&password=p": &redis.Client{},
	} {
		c, err := New(address)
		require.NoError(t, err, address)
		require.IsType(t, want, c, address)
		require.NoError(t, c.Close())
	}
	for _, address := range []string{
		"", "http://user:secret@localhost", "redis://user:secret@localhost/x", "redis://user:secret@local host",
		"redis://user:secret@a?master_name=", "redis://user:secret@a?master_name=m&replica_only=true", "redis://user:secret@a?addr=b&nothing=1",
	} {
		_, err := New(address)
		require.Error(t, err, address)
		require.NotContains(t, err.Error(), "secret")
	}
}
