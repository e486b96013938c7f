package main

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/zixly/sweepline/shared/build"
	"github.com/zixly/sweepline/shared/rfc3339"
)

// version is set by the Makefile from git.
var version = unnamed

const unnamed = "dev"

// built is what this program is built of; one that is installed by go knows it as well.
func built() build.Info {
	i := build.Read()
	if version != unnamed {
		i.Version = version
	}
	return i
}

func versionText() string {
	return fmt.Sprintf("sweepline %s %s %s/%s", built().Version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

func newVersion() *cobra.Command {
	var o output
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !o.isJSON() {
				_, err := fmt.Fprintln(cmd.OutOrStdout(), versionText())
				return err
			}
			i := built()
			return printJSON(cmd.OutOrStdout(), struct {
				Version  string         `json:"version"`
				Revision string         `json:"revision,omitempty"`
				Time     *rfc3339.Milli `json:"time,omitempty"`
				Modified bool           `json:"modified,omitempty"`
				Go       string         `json:"go"`
				OS       string         `json:"os"`
				Arch     string         `json:"arch"`
			}{i.Version, i.Revision, i.Time, i.Modified, runtime.Version(), runtime.GOOS, runtime.GOARCH})
		},
	}
	o.flags(cmd, formTable, formJSON)
	return cmd
}
