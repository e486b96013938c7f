package main

import (
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/zixly/sweepline/functions/notify"
)

func newTemplates() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "templates",
		Short: "Write or check the templates of messages",
		Long: `Messages to Slack and by mail are made by templates. Write the built-in ones into
a folder, change what you like and delete the rest, then set NOTIFY_TEMPLATE_DIR.`,
	}
	cmd.AddCommand(&cobra.Command{
		Use:   "write DIR",
		Short: "Write the built-in templates into a folder; files that are there stay",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := os.CopyFS(args[0], notify.Templates()); err != nil {
				return fmt.Errorf("write templates: %w\nName an empty or a new folder", err)
			}
			names, err := fs.Glob(notify.Templates(), "*")
			if err != nil {
				return err
			}
			for _, name := range names {
				fmt.Fprintf(cmd.OutOrStdout(), "%s/%s\n", args[0], name)
			}
			return nil
		},
	}, &cobra.Command{
		Use:   "check DIR",
		Short: "Try the templates in a folder, as the start of notify does",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := notify.CheckTemplates(args[0]); err != nil {
				return err
			}
			_, err := fmt.Fprintln(cmd.OutOrStdout(), "All templates are in order.")
			return err
		},
	})
	return cmd
}
