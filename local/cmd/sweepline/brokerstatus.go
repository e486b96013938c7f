package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	api "github.com/zixly/sweepline/shared/client"
)

func newBrokerStatus() *cobra.Command {
	var o output
	cmd := remote(&cobra.Command{
		Use:   "status",
		Short: "Show the broker of a running sweepline: streams, triggers, what waits and fails",
		Long: `Shows the broker of a running sweepline: its streams with their first and last event,
its triggers, and in one line what waits and fails. It is for operators.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := newClient(cmd)
			if err != nil {
				return err
			}
			b, err := c.Broker(cmd.Context())
			if err != nil {
				return err
			}
			w := cmd.OutOrStdout()
			if o.isJSON() {
				return printJSON(w, b)
			}
			fmt.Fprintln(w, brokerSummary(b.Triggers))
			if err := printStreams(w, b.Streams, o.form == formWide); err != nil {
				return err
			}
			fmt.Fprintln(w)
			return printTriggers(w, b.Triggers, o.form == formWide)
		},
	})
	o.flags(cmd, formTable, formWide, formJSON)
	return cmd
}

// brokerSummary says in one line what waits and fails.
func brokerSummary(all []api.Trigger) string {
	var waiting, letters int64
	by := map[string][]string{}
	for _, t := range all {
		waiting += t.Lag + t.Pending + t.Retries
		letters += t.DeadLetters
		by[triggerState(t)] = append(by[triggerState(t)], t.Name)
	}
	text := fmt.Sprintf("%s, %s not delivered, %s", counted(len(all), "trigger"), counted(int(waiting), "event"), counted(int(letters), "dead letter"))
	for _, state := range []string{"paused", "failing", "retrying", "removed"} {
		if names := by[state]; len(names) > 0 {
			text += "; " + state + ": " + strings.Join(names, ", ")
		}
	}
	return printable(text)
}

func printStreams(w io.Writer, all []api.Stream, wide bool) error {
	if len(all) == 0 {
		return nil
	}
	fmt.Fprintln(w)
	g := newGrid(w, "stream", "entries", "kB", "first", "last")
	g.right, g.spare, g.wide = []string{"entries", "kB"}, []string{"first", "kB"}, wide
	for _, s := range all {
		g.add(fmt.Sprintf("%s/%s/%d", s.Namespace, s.Broker, s.Partition), s.Entries, (s.Bytes+999)/1000, timeOfEntry(s.FirstID), timeOfEntry(s.LastID))
	}
	g.print()
	return nil
}

// timeOfEntry is when an entry of a stream came: Redis begins its id with it.
func timeOfEntry(id string) string {
	ms, _, _ := strings.Cut(id, "-")
	n, err := strconv.ParseInt(ms, 10, 64)
	if err != nil {
		return printable(id)
	}
	return time.UnixMilli(n).Local().Format(time.DateTime)
}
