package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"
)

// trigger is one of the broker's.
type trigger struct {
	Namespace string `json:"namespace"`
	Broker    string `json:"broker"`
	Name      string `json:"name"`
}

func (t trigger) String() string { return t.Namespace + "/" + t.Broker + "/" + t.Name }

// steered is the answer to an act on a Trigger.
type steered struct {
	Trigger string `json:"trigger"`
	Message string `json:"message"`
}

func (c *client) triggers(ctx context.Context) ([]trigger, error) {
	var b struct {
		Triggers []trigger `json:"triggers"`
	}
	err := c.do(ctx, http.MethodGet, "/api/broker", nil, nil, &b)
	return b.Triggers, err
}

// trigger finds one by its name, or by NAMESPACE/BROKER/NAME where several have
// it.
func (c *client) trigger(ctx context.Context, name string) (trigger, error) {
	all, err := c.triggers(ctx)
	if err != nil {
		return trigger{}, err
	}
	var found []trigger
	var known []string
	for _, t := range all {
		if t.Name == name || t.String() == name {
			found = append(found, t)
		}
		known = append(known, t.Name)
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return trigger{}, usagef("there is no trigger %s: name one of %s", name, strings.Join(known, ", "))
	default:
		return trigger{}, usagef("several triggers are called %s: name one as NAMESPACE/BROKER/NAME, as %s", name, found[0])
	}
}

func newReplay() *cobra.Command {
	var name, since string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "replay --trigger T --since 2h",
		Short: "Deliver a trigger's events again",
		Long: `Delivers again what a trigger was or was not given since then, as far as the
stream still holds it. Other triggers are not touched, and all steps take repeats:
nothing is done twice. The triggers are listed on the dashboard under Broker.`,
		Example: "  sweepline replay --trigger store --since 2h\n  sweepline replay --trigger store --since 2026-01-31T12:00:00Z",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := newClient()
			if err != nil {
				return err
			}
			t, err := c.trigger(cmd.Context(), name)
			if err != nil {
				return err
			}
			var s steered
			path := "/api/broker/triggers/" + url.PathEscape(t.Namespace) + "/" + url.PathEscape(t.Broker) + "/" + url.PathEscape(t.Name) + "/replay?" +
				url.Values{"since": {since}}.Encode()
			if err := c.do(cmd.Context(), http.MethodPost, path, nil, nil, &s); err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), s)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", s.Trigger, s.Message)
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&name, "trigger", "", "its name, or NAMESPACE/BROKER/NAME")
	f.StringVar(&since, "since", "", "how long ago, as 2h, or a time, as 2026-01-31T12:00:00Z")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	_ = cmd.MarkFlagRequired("trigger")
	_ = cmd.MarkFlagRequired("since")
	_ = cmd.RegisterFlagCompletionFunc("trigger", func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		c, err := newClient()
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		all, err := c.triggers(cmd.Context())
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		var names []string
		for _, t := range all {
			names = append(names, t.Name)
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	})
	return cmd
}
