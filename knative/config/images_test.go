package config_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	image  = regexp.MustCompile(`(?m)^\s*(?:- )?(?:image|defaultBaseImage): (\S+)$`)
	pinned = regexp.MustCompile(`^[\w./-]+:[\w.-]+@sha256:[0-9a-f]{64}$`)
)

// TestImagesOfOthersArePinned: what is pulled is what was tried, not what a tag leads
// to on the day. Our own are built from the tree, and pinned by scripts/release.sh.
func TestImagesOfOthersArePinned(t *testing.T) {
	t.Parallel()
	texts := map[string]string{}
	for _, root := range roots {
		for _, r := range build(t, root) {
			text, err := r.AsYAML()
			require.NoError(t, err)
			texts[root] += string(text)
		}
	}
	for _, file := range []string{"../../local/compose.yaml", "../../.ko.yaml"} {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		texts[file] = string(text)
	}
	digests := map[string]string{}
	others := map[string]int{}
	for where, text := range texts {
		for _, match := range image.FindAllStringSubmatch(text, -1) {
			if strings.HasPrefix(match[1], "ko://github.com/zixly/sweepline/") {
				continue
			}
			require.Regexp(t, pinned, match[1], where)
			others[where]++
			tag, digest, _ := strings.Cut(match[1], "@")
			if known, ok := digests[tag]; ok {
				require.Equal(t, known, digest, "%s: %s is another image elsewhere", where, tag)
			}
			digests[tag] = digest
		}
	}
	require.Equal(t, map[string]int{
		"overlays/kind": 2, "overlays/channel": 2, "../../local/compose.yaml": 2, "../../.ko.yaml": 1,
	}, others)
}
