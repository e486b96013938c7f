//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	// Children inherit it: a file at its size limit is an error then, not a signal.
	signal.Ignore(syscall.SIGXFSZ)
	err := newCommand().ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1)
	}
}

// errBroken is a verdict against the pipeline.
var errBroken = errors.New("rules were broken")

// session is what several runs of one command have in common.
type session struct {
	options options
	seeds   int
	clocks  bool
	keep    bool
	json    bool
	quiet   bool
	bins    *binaries
	log     *slog.Logger
	out     io.Writer // for people
	reports []*report
}

func newCommand() *cobra.Command {
	s := &session{}
	cmd := &cobra.Command{
		Use:   "chaos",
		Short: "Break a running pipeline by a seeded schedule and check every promise from outside",
		Long: `Starts private real processes, sends jobs, injects faults by the seed's schedule,
heals, waits until nothing moves and computes a verdict from outside. Exit code 1
where a rule was broken. Run it in the repository's root.`,
		Args: cobra.NoArgs, SilenceUsage: true, SilenceErrors: true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return s.prepare(cmd) },
		RunE: func(cmd *cobra.Command, _ []string) error {
			s.options.FlushSet = cmd.Flags().Changed("flush")
			first := s.options.Seed
			for i := range uint64(s.seeds) {
				o := s.options
				o.Seed = first + i
				o.Patient = cmd.Flags().Changed("patience")
				if err := s.chaos(cmd.Context(), o); err != nil {
					return err
				}
			}
			return s.finish(cmd)
		},
	}
	o := &s.options
	f := cmd.PersistentFlags()
	f.Uint64Var(&o.Seed, "seed", 1, "draws the schedule, the requests and whatever is not set here")
	f.IntVar(&o.Jobs, "jobs", 300, "how many sweeps are asked for")
	f.StringVar(&o.Layout, "layout", "", "nodes (several `sweepline up`) or apart (each function a process); default by seed")
	f.IntVar(&o.Nodes, "nodes", 2, "how many nodes")
	f.Float64Var(&o.Rate, "rate", 0, "requests a second; default 2 to 10 by the number of jobs")
	f.IntVar(&o.Concurrent, "concurrent", 0, "sweeps that may be at the API at once; default by seed")
	f.IntVar(&o.Budget, "budget", 0, "calls a minute that the API takes; default by rate and seed")
	f.DurationVar(&o.Delay, "delay", 200*time.Millisecond, "how long a sweep takes at least")
	f.DurationVar(&o.Patience, "patience", 90*time.Second, "give up after so long without any progress")
	f.BoolVar(&o.Defaults, "defaults", false, "leave leases, polls and backoffs as in production")
	f.StringArrayVar(&o.Env, "env", nil, "further variable of the pipeline's processes, NAME=value")
	f.BoolVar(&s.keep, "keep", false, "keep the folder of runs that passed as well")
	f.BoolVar(&s.json, "json", false, "print reports as JSON")
	f.BoolVar(&s.quiet, "quiet", false, "log warnings only")
	local := cmd.Flags()
	local.IntVar(&s.seeds, "seeds", 1, "how many seeds to run, from --seed on")
	local.BoolVar(&o.Flush, "flush", false, "empty Redis once; default every fifth seed")
	local.DurationVar(&o.Gap, "gap", 3*time.Second, "mean time between two faults")
	local.StringSliceVar(&o.Only, "only", nil, "kinds of fault to inject; default all")
	local.BoolVar(&s.clocks, "clocks", true, "also build programs whose clock can be moved")
	cmd.AddCommand(newOutages(s), newSteady(s))
	return cmd
}

// prepare builds the programs.
func (s *session) prepare(cmd *cobra.Command) error {
	level := slog.LevelInfo
	if s.quiet {
		level = slog.LevelWarn
	}
	s.log = slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: level}))
	s.out = cmd.OutOrStdout()
	if s.json {
		s.out = cmd.ErrOrStderr()
	}
	repo, err := os.Getwd()
	if err != nil {
		return fmt.Errorf("find repository: %w", err)
	}
	s.bins, err = build(cmd.Context(), repo, filepath.Join(repo, ".build", "chaos"), s.clocks && !cmd.HasParent())
	return err
}

// chaos is one seed.
func (s *session) chaos(ctx context.Context, o options) error {
	o, err := o.fill()
	if err != nil {
		return err
	}
	return s.run(ctx, "chaos", o, breaking(func(w *world) ([]fault, error) {
		return draw(o.Seed, w.kinds(), o.window(), o.Gap), nil
	}))
}

// run does a run and keeps its report, whatever the verdict.
func (s *session) run(ctx context.Context, name string, o options, do act) error {
	r, err := run(ctx, name, o, s.bins, do, s.log)
	if err != nil {
		return fmt.Errorf("%s with seed %d: %w", name, o.Seed, err)
	}
	if !r.failed() && !s.keep {
		if err := r.discard(); err != nil {
			return err
		}
	}
	s.reports = append(s.reports, r)
	r.print(s.out)
	return nil
}

// finish prints what machines asked for, and fails where a rule was broken.
func (s *session) finish(cmd *cobra.Command) error {
	if s.json {
		if err := printJSON(cmd.OutOrStdout(), s.reports); err != nil {
			return err
		}
	}
	broken := 0
	for _, r := range s.reports {
		if r.failed() {
			broken++
		}
	}
	if len(s.reports) > 1 {
		fmt.Fprintf(s.out, "%d of %d runs passed\n", len(s.reports)-broken, len(s.reports))
	}
	if broken > 0 {
		return errBroken
	}
	return nil
}
