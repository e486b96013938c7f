package access

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/knative/access/accesstest"
	"github.com/zixly/sweepline/knative/contract"
)

func TestTokensAreReadAnewAndSentWhileTheyAreGood(t *testing.T) {
	t.Parallel()
	issuer, folder, now := accesstest.New(t), t.TempDir(), time.Now()
	tokens := NewTokens(folder)
	tokens.now = func() time.Time { return now }
	const who, whom = "t-oidc", "some/sink"
	file := filepath.Join(folder, contract.TokenFile(who, whom))
	write := func(text string) { require.NoError(t, os.WriteFile(file, []byte(text), 0o600)) }
	get := func() string {
		token, err := tokens.Get(who, whom)
		require.NoError(t, err)
		return token
	}

	require.NoError(t, tokens.Has(who, ""), "a subscriber without an audience needs none")
	require.Error(t, tokens.Has(who, whom))
	_, err := tokens.Get(who, whom)
	require.ErrorIs(t, err, ErrNoToken)
	require.NotContains(t, err.Error(), folder)

	first := issuer.Token(who, whom, now)
	write(first + "\n")
	require.NoError(t, tokens.Has(who, whom))
	require.Equal(t, first, get())
	_, err = tokens.Get("another", whom)
	require.ErrorIs(t, err, ErrNoToken, "tokens are not lent")
	_, err = tokens.Get(who, "another")
	require.ErrorIs(t, err, ErrNoToken)

	second := issuer.Token(who, whom, now.Add(30*time.Minute))
	write(second)
	require.Equal(t, first, get(), "files are not read for every delivery")
	now = now.Add(tokensEvery)
	require.Equal(t, second, get())

	write("not a token")
	now = now.Add(tokensEvery)
	require.Equal(t, second, get(), "it is good yet")
	require.NoError(t, os.Remove(file))
	now = now.Add(tokensEvery)
	require.Equal(t, second, get())
	now = now.Add(90 * time.Minute)
	_, err = tokens.Get(who, whom)
	require.ErrorIs(t, err, ErrNoToken, "an expired one would be refused for good")
}

func TestWithoutAFolderThereAreNoTokens(t *testing.T) {
	t.Parallel()
	tokens := NewTokens("")
	require.ErrorIs(t, tokens.Has("a", "b"), ErrNoToken)
	require.NoError(t, tokens.Has("a", ""))
	_, err := tokens.Get("a", "b")
	require.ErrorIs(t, err, ErrNoToken)
}
