package job_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/job"
)

func TestValidNotifyURL(t *testing.T) {
	t.Parallel()
	for _, good := range []string{
		"https://hooks.example.com", "https://hooks.example.com:8443/a/b?c=d&e=%20", "https://10.0.0.1/", "https://[2001:db8::1]/",
		"http://localhost:8080/x", "http://LOCALHOST", "http://127.0.0.1/", "http://[::1]:9/",
		"https://a/" + strings.Repeat("x", job.MaxNotifyURL-len("https://a/")),
	} {
		require.True(t, job.ValidNotifyURL(good), good)
	}
	for _, bad := range []string{
		"", "x", "/x", "//a/x", "https:", "https:a", "https://", "https://:443/", "http://example.com", "http://127.0.0.1.example.com/", "http://10.0.0.1/",
		"ftp://a/", "file:///etc/passwd", "https://user@a/", "https://user:secret@a/", "https://@a/", "https://a/#x", "https://a/#", "https://a b/", "https://a/ b",
		"https://a/\n", "https://a/\x00", "https://bücher.example/", "https://[fe80::1%25eth0]/", "https://a:x/", `https://good.example\@evil.example/`,
		"https://a/" + strings.Repeat("x", job.MaxNotifyURL-len("https://a/")+1),
	} {
		require.False(t, job.ValidNotifyURL(bad), "%q", bad)
	}
}
