package main

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
	"github.com/stretchr/testify/require"
)

var manDir = flag.String("man", "", "folder to write the manual pages into")

// TestManPages makes the manual pages of all commands, and has them rendered: it is the
// generator of `make man` too. It is a test so that the command does not hold what makes
// them.
func TestManPages(t *testing.T) {
	for _, name := range []string{"SIMULATOR_DELAY", "SIMULATOR_SEED", "SIMULATOR_PRICES_DIR"} {
		t.Setenv(name, "")
		require.NoError(t, os.Unsetenv(name))
	}
	dir := *manDir
	if dir == "" {
		dir = t.TempDir()
	}
	require.NoError(t, os.MkdirAll(dir, 0o755))
	root := newRoot(new(bool))
	root.DisableAutoGenTag = true // it has the date
	root.Long += "\n\n" + newExitCodes().Long
	asMarkdown(root)
	require.NoError(t, doc.GenManTree(root, &doc.GenManHeader{Section: "1", Source: "sweepline " + version, Manual: "sweepline"}, dir))

	pages := map[string]string{}
	files, err := filepath.Glob(filepath.Join(dir, "*.1"))
	require.NoError(t, err)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		pages[strings.TrimSuffix(filepath.Base(file), ".1")] = string(text)
	}
	var check func(c *cobra.Command)
	check = func(c *cobra.Command) {
		if c.IsAvailableCommand() || !c.HasParent() {
			require.Contains(t, pages, strings.ReplaceAll(c.CommandPath(), " ", "-"))
		}
		for _, sub := range c.Commands() {
			check(sub)
		}
	}
	check(root)
	require.Contains(t, pages["sweepline-jobs"], "limit")

	require.Contains(t, pages["sweepline"], "130  Interrupted")

	groff, err := exec.LookPath("groff")
	if err != nil {
		t.Skip("there is no groff to render the pages with")
	}
	for name := range pages {
		var errs bytes.Buffer
		cmd := exec.Command(groff, "-man", "-Tutf8", "-K", "utf8", "-ww", "-rLL=78n", "-P-cbou", filepath.Join(dir, name+".1"))
		cmd.Stderr = &errs
		out, err := cmd.Output()
		require.NoError(t, err, name)
		require.Empty(t, errs.String(), name)
		require.Contains(t, string(out), "NAME")
		require.Contains(t, string(out), "SYNOPSIS")
	}
}

// asMarkdown makes the texts of commands what the generator reads: what is indented is
// code.
func asMarkdown(c *cobra.Command) {
	c.Long = strings.ReplaceAll(c.Long, "\n  ", "\n    ")
	for _, sub := range c.Commands() {
		asMarkdown(sub)
	}
}
