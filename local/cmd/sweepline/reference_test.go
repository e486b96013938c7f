package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"
	"github.com/zixly/sweepline/shared/jobstore"
)

var update = flag.Bool("update", false, "write docs/reference/cli.md anew")

// TestReferenceIsCurrent keeps the page of the command that of the command. Its
// neighbours are made in local/docs.
func TestReferenceIsCurrent(t *testing.T) {
	for _, name := range []string{"SIMULATOR_DELAY", "SIMULATOR_SEED", "SIMULATOR_PRICES_DIR"} {
		t.Setenv(name, "") // what is set here would be a default there
		require.NoError(t, os.Unsetenv(name))
	}
	var b strings.Builder
	root := newRoot(new(bool))
	b.WriteString("<!-- Made by `go test ./local/cmd/sweepline -run Reference -update`; change the code, not this page. -->\n\n" +
		"# The command\n\n" +
		"`sweepline COMMAND --help` says the same. Commands that look and act talk to the sweepline of the flags below, of `SWEEPLINE_URL`, or of the\n" +
		"current [context](#sweepline-context), else to `http://localhost:8080`. `SWEEPLINE_KEY` is the key for the server of `SWEEPLINE_URL` or, where that is not\n" +
		"set, for `http://localhost:8080`; it is sent to no other. `--server` has the key that is named with the same address, if any. Commands that print data have `-o json`, and `--json`, which is the same, but for `map`, `open`,\n" +
		"`schedule-token` and `notify-key`; lists have `-o wide`, `jsonl`, `csv` and `name` as well. `make man` makes manual pages of all this.\n\n" +
		"These flags are those of every command that talks to a sweepline:\n\n| flag | default | |\n|---|---|---|\n")
	root.PersistentFlags().VisitAll(func(f *pflag.Flag) { b.WriteString(rowOf(f)) })
	b.WriteString("\nA job is named by its id, or by the first " + strconv.Itoa(jobstore.MinPrefix) + " or more digits of it where no other job's begins so, or by `…` and its end. Ids of requests\n" +
		"without an idempotency key begin with the time: some 10 to 12 digits tell them apart. An empty value of a flag or an argument is refused.\n\n## Exit codes\n\n| code | |\n|---|---|\n")
	for _, e := range exitCodes {
		fmt.Fprintf(&b, "| %d | %s |\n", e.code, e.meaning)
	}
	b.WriteString("\n## Commands\n\n")
	for _, g := range root.Groups() {
		for _, c := range root.Commands() {
			if c.GroupID == g.ID {
				b.WriteString("- [" + c.Name() + "](#" + anchorOf(c) + "): " + c.Short + "\n")
			}
		}
	}
	b.WriteString("\n`completion` and `help` are those of every such command.\n")
	for _, g := range root.Groups() {
		for _, c := range root.Commands() {
			if c.GroupID == g.ID {
				writeCommand(&b, c)
			}
		}
	}
	for _, c := range root.Commands() {
		if c.GroupID == "" && c.Name() == "version" {
			writeCommand(&b, c)
		}
	}
	file := filepath.Join("..", "..", "..", "docs", "reference", "cli.md")
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(b.String()), 0o644))
	}
	have, err := os.ReadFile(file)
	require.NoError(t, err)
	is := strings.Split(string(have), "\n")
	for i, line := range strings.Split(b.String(), "\n") { // the page is too long to be shown whole
		require.Less(t, i, len(is), "go test ./local/cmd/sweepline -run Reference -update")
		require.Equal(t, line, is[i], "line %d: go test ./local/cmd/sweepline -run Reference -update", i+1)
	}
	require.Len(t, have, b.Len(), "go test ./local/cmd/sweepline -run Reference -update")
}

// anchorOf is GitHub's anchor of a command's heading.
func anchorOf(c *cobra.Command) string { return strings.ReplaceAll(c.CommandPath(), " ", "-") }

func writeCommand(b *strings.Builder, c *cobra.Command) {
	b.WriteString("\n## " + c.CommandPath() + "\n\n")
	long := c.Long
	if long == "" {
		long = c.Short + "."
	}
	b.WriteString(strings.ReplaceAll(strings.TrimSpace(long), "\n  ", "\n    ") + "\n\n") // what is indented is code
	if c.Runnable() {
		b.WriteString("```\n" + c.UseLine() + "\n```\n")
	}
	if c.HasExample() {
		b.WriteString("\nExamples:\n\n```\n" + strings.ReplaceAll(strings.Trim(c.Example, "\n"), "\n  ", "\n")[2:] + "\n```\n")
	}
	rows := ""
	c.LocalFlags().VisitAll(func(f *pflag.Flag) { rows += rowOf(f) })
	if rows != "" {
		b.WriteString("\n| flag | default | |\n|---|---|---|\n" + rows)
	}
	for _, sub := range c.Commands() {
		writeCommand(b, sub)
	}
}

func rowOf(f *pflag.Flag) string {
	if f.Hidden || f.Name == "help" {
		return ""
	}
	typ, usage := pflag.UnquoteUsage(f)
	flag := "`--" + f.Name
	if typ != "" {
		flag += " " + typ
	}
	flag += "`"
	if f.Shorthand != "" {
		flag = "`-" + f.Shorthand + "`, " + flag
	}
	def := ""
	if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "[]" {
		def = "`" + f.DefValue + "`"
	}
	return "| " + flag + " | " + def + " | " + strings.ReplaceAll(usage, "|", `\|`) + " |\n"
}
