//go:build linux

package main

import (
	"bufio"
	"io"
	"log/slog"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// echo answers every line with itself and counts them.
func echo(t *testing.T) (addr string, heard chan string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	heard = make(chan string, 16)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				lines := bufio.NewScanner(c)
				for lines.Scan() {
					heard <- lines.Text()
					_, _ = io.WriteString(c, lines.Text()+"\n")
				}
			}()
		}
	}()
	return l.Addr().String(), heard
}

// say sends a line and waits for it to come back.
func say(addr, line string, patience time.Duration) error {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := io.WriteString(c, line+"\n"); err != nil {
		return err
	}
	_, err = bufio.NewReader(c).ReadString('\n')
	return err
}

func TestLinkCanBeCutMutedSlowedAndRestored(t *testing.T) {
	t.Parallel()
	upstream, heard := echo(t)
	l := newLinks(&ports{given: map[int]bool{}})
	t.Cleanup(l.close)
	addr, err := l.open("server", "client", upstream)
	require.NoError(t, err)
	same, err := l.open("server", "client", upstream)
	require.NoError(t, err)
	require.Equal(t, addr, same)
	require.Equal(t, []string{"server<client"}, l.names("server"))
	require.Empty(t, l.names("other"))
	const name, patience = "server<client", 10 * time.Second
	restored := func() {
		require.NoError(t, l.restore(t.Context(), name))
		require.NoError(t, say(addr, "restored", patience))
		require.Equal(t, "restored", <-heard)
	}
	restored()

	require.NoError(t, l.cut(name))
	require.Error(t, say(addr, "cut", patience))
	restored()

	gate := l.gate("server", slog.Default())
	gate(false)
	require.NoError(t, l.cut(name))
	require.NoError(t, l.restore(t.Context(), name))
	require.ErrorIs(t, say(addr, "gone", patience), syscall.ECONNREFUSED, "its server is still gone")
	gate(true)
	restored()

	require.NoError(t, l.mute(name))
	require.Error(t, say(addr, "muted", 300*time.Millisecond), "the answer is dropped")
	require.Equal(t, "muted", <-heard, "the request arrives")
	restored()

	require.NoError(t, l.slow(name, 100))
	began := time.Now()
	require.NoError(t, say(addr, "slow", patience))
	require.GreaterOrEqual(t, time.Since(began), 200*time.Millisecond, "there and back")
	require.Equal(t, "slow", <-heard)
	restored()
}
