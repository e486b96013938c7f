package functions_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var (
	// named is a file or folder in backticks: with a slash, and of a kind that we have.
	named = regexp.MustCompile("`((?:functions|shared|knative|local)/[A-Za-z0-9_./-]+)`")
	// linked is a link within the repository.
	linked = regexp.MustCompile(`\]\(([^)#:\s]+)(?:#[^)]*)?\)`)
)

// What the documents name exists: newcomers follow it, and files move.
func TestDocumentsNameWhatExists(t *testing.T) {
	t.Parallel()
	checked := 0
	require.NoError(t, filepath.WalkDir("..", func(path string, e os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.IsDir() && (strings.HasPrefix(e.Name(), ".") && path != "..") {
			return filepath.SkipDir
		}
		if filepath.Ext(path) != ".md" {
			return nil
		}
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		for _, m := range named.FindAllStringSubmatch(string(text), -1) {
			checked++
			_, err := os.Stat(filepath.Join("..", m[1]))
			if !strings.Contains(m[1], "NAME") && !strings.Contains(m[1], "NNN") { // stands for any
				assert.NoError(t, err, "%s names %s", path, m[1])
			}
		}
		for _, m := range linked.FindAllStringSubmatch(string(text), -1) {
			checked++
			_, err := os.Stat(filepath.Join(filepath.Dir(path), m[1]))
			assert.NoError(t, err, "%s links to %s", path, m[1])
		}
		return nil
	}))
	require.Greater(t, checked, 50)
}
