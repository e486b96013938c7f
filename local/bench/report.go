package bench

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"text/tabwriter"
	"time"
)

// Report is what a run of the benchmark has found.
type Report struct {
	// At is when it began, Took for how long it ran.
	At      time.Time `json:"at"`
	Took    string    `json:"took"`
	Version string    `json:"version"`
	Machine Machine   `json:"machine"`
	Options Options   `json:"options"`
	Figures []Figure  `json:"figures"`
	// Left is what a counted burst left in Redis, by kind of key, under the fsync.
	Left map[string]map[string]held `json:"left,omitempty"`
	// Calls are the commands and statements of one job in a counted burst, by name.
	Calls map[string]map[string]float64 `json:"calls,omitempty"`
}

// Figure is one number, measured once a round.
type Figure struct {
	Name  string `json:"name"`
	Fsync string `json:"fsync"`
	Unit  string `json:"unit,omitempty"`
	// Better is "less" or "more".
	Better direction `json:"better"`
	// Value is the median of Values.
	Value  float64   `json:"value"`
	Values []float64 `json:"values"`
	// Limit is what the machine can do at best, in the same run, and Share the part
	// of it that was reached; 0 where there is none.
	Limit float64 `json:"limit,omitempty"`
	Share float64 `json:"share,omitempty"`
}

func median(values []float64) float64 {
	s := slices.Sorted(slices.Values(values))
	n := len(s)
	if n == 0 {
		return 0
	}
	return (s[(n-1)/2] + s[n/2]) / 2
}

// newReport puts samples, by fsync and name, in order and compares them with their
// limits.
func newReport(samples map[string]map[string][]float64) *Report {
	r := &Report{}
	for _, fsync := range fsyncs {
		values := samples[fsync]
		get := func(name string) float64 { return median(values[name]) }
		for _, d := range definitions {
			if len(values[d.name]) == 0 {
				continue
			}
			f := Figure{Name: d.name, Fsync: fsync, Unit: d.unit, Better: d.better, Value: get(d.name), Values: values[d.name]}
			if d.limit != nil {
				f.Limit = d.limit(get)
			}
			if f.Limit > 0 && f.Value > 0 {
				f.Share = f.Value / f.Limit
				if d.better == less {
					f.Share = f.Limit / f.Value
				}
			}
			r.Figures = append(r.Figures, f)
		}
	}
	return r
}

func (r *Report) figure(name, fsync string) *Figure {
	for i := range r.Figures {
		if f := &r.Figures[i]; f.Name == name && f.Fsync == fsync {
			return f
		}
	}
	return nil
}

// WriteTable prints the figures, a column for each fsync, each with its spread over
// the rounds and its share of its limit.
func (r *Report) WriteTable(out io.Writer) error {
	fmt.Fprintf(out, "sweepline %s, %s, %s: %d jobs in a burst, %d/s paced for %s\n%s\n\n", r.Version, r.At.Format("2006-01-02 15:04"), r.Took,
		r.Options.Jobs, r.Options.Rate, r.Options.Span, r.Machine)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	var columns []string
	for _, f := range fsyncs {
		if slices.ContainsFunc(r.Figures, func(g Figure) bool { return g.Fsync == f }) {
			columns = append(columns, f)
		}
	}
	fmt.Fprint(w, "figure\tunit\t")
	for _, c := range columns {
		fmt.Fprintf(w, "fsync %s\tof limit\t", c)
	}
	fmt.Fprint(w, "  limit\n")
	for _, d := range definitions {
		var cells strings.Builder
		found := false
		for _, c := range columns {
			f := r.figure(d.name, c)
			if f == nil {
				cells.WriteString("\t\t")
				continue
			}
			found = true
			cells.WriteString(number(f.Value))
			if len(f.Values) > 1 {
				fmt.Fprintf(&cells, " (%s–%s)", number(slices.Min(f.Values)), number(slices.Max(f.Values)))
			}
			cells.WriteByte('\t')
			if f.Share > 0 {
				fmt.Fprintf(&cells, "%.0f %%", f.Share*100)
			}
			cells.WriteByte('\t')
		}
		if found {
			fmt.Fprintf(w, "%s\t%s\t%s  %s\n", d.title, d.unit, cells.String(), d.limitIs)
		}
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("print table: %w", err)
	}
	for _, c := range columns {
		if kinds := r.Left[c]; len(kinds) > 0 {
			fmt.Fprintf(out, "\nLeft in Redis by %d jobs, fsync %s:\n", r.Options.Counted, c)
			for _, k := range slices.Sorted(maps.Keys(kinds)) {
				fmt.Fprintf(out, "  %6d keys %9d B  %s\n", kinds[k].Keys, kinds[k].Bytes, k)
			}
		}
		if calls := r.Calls[c]; len(calls) > 0 {
			fmt.Fprintf(out, "\nSent by one job in a burst, fsync %s:\n", c)
			writeCalls(out, calls)
		}
	}
	if folder := r.Options.Profile; folder != "" {
		fmt.Fprintf(out, "\nProfiles: go tool pprof -top -cum %s\n", filepath.Join(folder, "*", "cpu.pprof"))
	}
	return nil
}

// writeCalls lists calls, the most frequent first; rare ones are left out.
func writeCalls(out io.Writer, calls map[string]float64) {
	names := slices.SortedFunc(maps.Keys(calls), func(a, b string) int {
		return cmp.Or(cmp.Compare(calls[b], calls[a]), cmp.Compare(a, b))
	})
	for _, name := range names {
		if calls[name] >= .01 {
			fmt.Fprintf(out, "  %8.2f  %s\n", calls[name], name)
		}
	}
}

// number prints three digits that matter, and all of those before the point.
func number(v float64) string {
	switch a := max(v, -v); {
	case a >= 100:
		return fmt.Sprintf("%.0f", v)
	case a >= 10:
		return fmt.Sprintf("%.1f", v)
	case a == 0:
		return "0"
	default:
		return fmt.Sprintf("%.2f", v)
	}
}

// Read takes a report from its JSON.
func Read(file string) (*Report, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read report: %w", err)
	}
	var r Report
	if err := json.Unmarshal(raw, &r); err != nil {
		return nil, fmt.Errorf("read report %s: %w", file, err)
	}
	return &r, nil
}

// Change is a figure that differs between two reports.
type Change struct {
	Name, Title, Fsync string
	Old, New           float64
	// Worse is by which part it got worse; negative for better.
	Worse float64
}

// Compare returns what got worse, and what got better, since an earlier report, worst
// first: by more than the figure's tolerance, and, where there were several rounds,
// beyond the spread of both. Figures that only one of them has are left out.
func (r *Report) Compare(old *Report) (worse, better []Change) {
	for _, f := range r.Figures {
		before := old.figure(f.Name, f.Fsync)
		d, known := definitionOf(f.Name)
		if before == nil || !known || d.part() == "ceiling" {
			continue
		}
		c := Change{Name: f.Name, Title: d.title, Fsync: f.Fsync, Old: before.Value, New: f.Value, Worse: change(d.better, before.Value, f.Value)}
		switch {
		case c.Worse > d.tolerance && beyond(d.better, before.Values, f.Values):
			worse = append(worse, c)
		case c.Worse < -d.tolerance && beyond(d.better, f.Values, before.Values):
			better = append(better, c)
		}
	}
	sort.SliceStable(worse, func(i, j int) bool { return worse[i].Worse > worse[j].Worse })
	sort.SliceStable(better, func(i, j int) bool { return better[i].Worse < better[j].Worse })
	return worse, better
}

// change is by which part after is worse than before.
func change(d direction, before, after float64) float64 {
	if d == more {
		before, after = after, before
	}
	if before == 0 {
		return min(after, 1) // from nothing to something
	}
	return after/before - 1
}

// beyond reports whether every one of after is worse than every one of before.
func beyond(d direction, before, after []float64) bool {
	if len(before) == 0 || len(after) == 0 {
		return true
	}
	if d == more {
		return slices.Max(after) < slices.Min(before)
	}
	return slices.Min(after) > slices.Max(before)
}
