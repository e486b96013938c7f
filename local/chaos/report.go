//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
)

// shownIDs bounds how many ids of one rule are printed; JSON has all.
const shownIDs = 8

// print writes a report for people.
func (r *report) print(out io.Writer) {
	o := r.Options
	fmt.Fprintf(out, "%s: seed %d, layout %s, %d jobs at %.1f/s, %d at once, %d calls a minute, %d faults, %s\n",
		r.Name, o.Seed, o.Layout, o.Jobs, o.Rate, o.Concurrent, o.Budget, len(r.Schedule), r.Took)
	for _, f := range r.Schedule {
		fmt.Fprintln(out, "  "+f)
	}
	for _, name := range slices.Sorted(maps.Keys(r.Verdict.Facts)) {
		fmt.Fprintf(out, "  %s: %v\n", name, r.Verdict.Facts[name])
	}
	for _, f := range r.Verdict.Allowed {
		f.print(out, "allowed")
	}
	for _, f := range r.Verdict.Broken {
		f.print(out, "BROKEN")
	}
	if r.failed() {
		fmt.Fprintf(out, "%s: seed %d FAILED: %d rules broken; logs in %s\n", r.Name, o.Seed, len(r.Verdict.Broken), r.Logs)
		return
	}
	fmt.Fprintf(out, "%s: seed %d passed\n", r.Name, o.Seed)
}

func (f finding) print(out io.Writer, label string) {
	fmt.Fprintf(out, "  %s %s: %s", label, f.Rule, f.Text)
	if len(f.IDs) > 0 {
		fmt.Fprintf(out, " (%d)", len(f.IDs))
	}
	fmt.Fprintln(out)
	for _, id := range f.IDs[:min(len(f.IDs), shownIDs)] {
		fmt.Fprintf(out, "    %s\n", id)
	}
	if more := len(f.IDs) - shownIDs; more > 0 {
		fmt.Fprintf(out, "    and %d more\n", more)
	}
}

// printJSON writes reports for machines.
func printJSON(out io.Writer, reports []*report) error {
	enc := json.NewEncoder(out)
	enc.SetIndent("", "  ")
	if err := enc.Encode(reports); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}
