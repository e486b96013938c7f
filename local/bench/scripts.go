package bench

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// luaFiles finds the sources of scripts below folders, by name; those that are not
// there are passed over. A script is recognized by what it ends with: before it may stand
// what it shares with others.
func luaFiles(folders ...string) map[string]string {
	files := map[string]string{}
	for _, folder := range folders {
		root := os.DirFS(folder)
		_ = fs.WalkDir(root, ".", func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || filepath.Ext(path) != ".lua" {
				return nil //nolint:nilerr // names are for convenience
			}
			if text, err := fs.ReadFile(root, path); err == nil {
				files[strings.Replace(strings.TrimSuffix(path, ".lua"), "lua/", "", 1)] = code(string(text))
			}
			return nil
		})
	}
	return files
}

// code is a script without its comments, which are not sent by all, and without
// empty lines.
func code(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if l := strings.TrimSpace(line); l != "" && !strings.HasPrefix(l, "--") {
			b.WriteString(l)
			b.WriteByte('\n')
		}
	}
	return b.String()
}

// titleOf is the file that a script was made of, or its digest.
func titleOf(digest, text string, files map[string]string) string {
	best, sent := "", code(text)
	for name, source := range files {
		if source != "" && strings.HasSuffix(sent, source) && (best == "" || len(source) > len(files[best])) {
			best = name
		}
	}
	if best == "" {
		best = digest[:min(len(digest), 8)]
	}
	return "script " + best
}
