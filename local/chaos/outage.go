//go:build linux

package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"
)

// story is one thing that is away for long while jobs keep coming.
type story struct {
	name  string
	fault func(*world) (kind, error)
}

var stories = []story{
	{slack, func(w *world) (kind, error) { return w.kind("slack-503", slack) }},
	{"submit", func(w *world) (kind, error) { return w.kind("away", "submit") }},
	{"store", func(w *world) (kind, error) { return w.kind("away", "store") }},
	{"postgres", func(w *world) (kind, error) { return w.kind("postgres-away", "postgres") }},
	{"api", func(w *world) (kind, error) { return w.kind("api-cut", "api") }},
}

// kind is one fault with one target.
func (w *world) kind(name, target string) (kind, error) {
	for _, k := range w.kinds() {
		if k.name == name && slices.Contains(k.targets, target) {
			k.targets = []string{target}
			return k, nil
		}
	}
	return kind{}, fmt.Errorf("there is no fault %s of %s in this layout", name, target)
}

// storyRate is requests a second during an outage.
const storyRate = 1

func newOutages(s *session) *cobra.Command {
	var (
		lasts time.Duration
		only  []string
	)
	cmd := &cobra.Command{
		Use:   "outages",
		Short: "Let Slack, submit, store, PostgreSQL and the trading API each be away for long under load",
		Long: `One run for each of them, each function its own process: jobs come in for as long
as the outage lasts and a little longer. All jobs must end right, each notified once.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, st := range stories {
				if len(only) > 0 && !slices.Contains(only, st.name) {
					continue
				}
				if err := s.outage(cmd.Context(), st, lasts, cmd.Flags().Changed("patience")); err != nil {
					return err
				}
			}
			return s.finish(cmd)
		},
	}
	cmd.Flags().DurationVar(&lasts, "for", time.Minute, "how long each is away")
	cmd.Flags().StringSliceVar(&only, "story", nil, "which: slack, submit, store, postgres, api; default all")
	return cmd
}

func (s *session) outage(ctx context.Context, st story, lasts time.Duration, patient bool) error {
	o := s.options
	o.Layout, o.Rate, o.Gap, o.FlushSet = apart, storyRate, time.Second, true
	o.Jobs = int(storyRate * (lasts + 30*time.Second).Seconds())
	if !patient {
		o.Patience = longPatience
	}
	o, err := o.fill()
	if err != nil {
		return err
	}
	return s.run(ctx, "outage of "+st.name, o, breaking(func(w *world) ([]fault, error) {
		k, err := st.fault(w)
		return []fault{{At: 10 * time.Second, For: lasts, Kind: k.name, Target: st.name, kind: k}}, err
	}))
}
