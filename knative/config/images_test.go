package config_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	image  = regexp.MustCompile(`(?m)^\s*(?:- )?(?:image|defaultBaseImage): (\S+)$`)
	pinned = regexp.MustCompile(`^[\w./-]+:[\w.-]+@sha256:[0-9a-f]{64}$`)
)

// loaded are overlays for clusters that are often loaded with images and ask no registry.
var loaded = map[string]bool{"overlays/kind": true, "overlays/channel": true}

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
			others[where]++
			if loaded[where] && slices.Contains([]string{"redis:7", "postgres:15"}, match[1]) {
				continue
			}
			require.Regexp(t, pinned, match[1], where)
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
