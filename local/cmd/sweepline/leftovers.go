package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/zixly/sweepline/shared/broker"
	"github.com/zixly/sweepline/shared/broker/inspect"
	"github.com/zixly/sweepline/shared/broker/manifest"
	data "github.com/zixly/sweepline/shared/broker/stream"
)

func newLeftovers() *cobra.Command {
	var file string
	var none, remove bool
	var o output
	cmd := &cobra.Command{
		Use:   "leftovers --brokers FILE",
		Short: "List, and remove, what Redis holds of Brokers that are gone",
		Long: `Looks into $REDIS_URL and lists the Brokers of which it holds streams, dead letters and the
like, but which FILE does not name: a Broker that is deleted with its whole namespace leaves
them, as its pods end with it. FILE is YAML or JSON, - for standard input:

  kubectl get brokers -A -o yaml | sweepline leftovers --brokers -

With --remove they are removed for good, events that wait included. What a process still serves
is never removed; Brokers of other clusters that use the same Redis must be in FILE, too.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			keep, err := brokersIn(cmd.InOrStdin(), file, none)
			if err != nil {
				return err
			}
			inspector, done, err := openInspector()
			if err != nil {
				return err
			}
			defer done()
			left, err := leftovers(cmd.Context(), inspector, keep, remove)
			if err != nil {
				return err
			}
			return printLeftovers(cmd.OutOrStdout(), left, o.isJSON())
		},
	}
	cmd.Flags().StringVar(&file, "brokers", "", "file with the Brokers that there are, - for standard input")
	cmd.Flags().BoolVar(&none, "none", false, "there are no Brokers any more")
	cmd.Flags().BoolVar(&remove, "remove", false, "remove what is listed")
	o.flags(cmd, formTable, formJSON)
	return cmd
}

// brokersIn reads the Brokers that there are. A file that names none, or that cannot be
// read as a whole, is refused: what it does not name may be removed.
func brokersIn(in io.Reader, file string, none bool) (map[broker.Broker]bool, error) {
	switch {
	case none && file == "":
		return nil, nil //nolint:nilnil // none is what was asked for
	case file == "" || none:
		return nil, usagef("say which Brokers there are: --brokers FILE, or --none")
	}
	read := func() ([]byte, error) { return os.ReadFile(file) }
	if file == "-" {
		read = func() ([]byte, error) { return io.ReadAll(in) }
	}
	text, err := read()
	if err != nil {
		return nil, err
	}
	brokers, err := manifest.Brokers(text, manifest.Options{})
	switch {
	case err != nil:
		return nil, fmt.Errorf("read Brokers: %w", err)
	case len(brokers) == 0:
		return nil, errors.New("no Broker is named: use --none where there are none")
	}
	keep := make(map[broker.Broker]bool, len(brokers))
	for _, b := range brokers {
		keep[b] = true
	}
	return keep, nil
}

// leftover is one line of the answer.
type leftover struct {
	Namespace string `json:"namespace"`
	Broker    string `json:"broker"`
	Keys      int64  `json:"keys"`
	// State is left, removed, or served.
	State string `json:"state"`
}

func leftovers(ctx context.Context, i *inspect.Inspector, keep map[broker.Broker]bool, remove bool) ([]leftover, error) {
	held, err := i.Footprints(ctx)
	if err != nil {
		return nil, err
	}
	out := []leftover{}
	for _, h := range held {
		if keep[h.Broker] {
			continue
		}
		l := leftover{Namespace: h.Broker.Namespace, Broker: h.Broker.Name, Keys: h.Keys, State: stateOf(h)}
		if remove && !h.Alive {
			if err := i.Purge(ctx, l.Namespace, l.Broker); err != nil {
				return out, err
			}
			l.State = "removed"
		}
		out = append(out, l)
	}
	return out, nil
}

func stateOf(h data.Footprint) string {
	if h.Alive {
		return "served"
	}
	return "left"
}

func printLeftovers(w io.Writer, left []leftover, asJSON bool) error {
	switch {
	case asJSON:
		return printJSON(w, left)
	case len(left) == 0:
		fmt.Fprintln(w, "Nothing is left of other Brokers.")
	default:
		g := newGrid(w, "broker", "keys", "state")
		g.right = []string{"keys"}
		for _, l := range left {
			g.add(l.Namespace+"/"+l.Broker, l.Keys, l.State)
		}
		g.print()
	}
	return nil
}
