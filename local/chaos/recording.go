//go:build linux

package main

import (
	"encoding/csv"
	"errors"
	"fmt"
	"html"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// recording is a table of samples: one series a column.
type recording struct {
	at     []time.Duration
	series map[string][]float64
}

// add appends one sample. A series that is missing in it repeats its last value.
func (r *recording) add(at time.Duration, values map[string]float64) {
	if r.series == nil {
		r.series = map[string][]float64{}
	}
	for name := range values {
		if _, ok := r.series[name]; !ok {
			r.series[name] = make([]float64, len(r.at))
		}
	}
	r.at = append(r.at, at)
	for name, s := range r.series {
		v, ok := values[name]
		if !ok {
			v = s[len(s)-1]
		}
		r.series[name] = append(s, v)
	}
}

const (
	// Two thirds of a run that differ by less are the same.
	flatPart = 1.15
	// flatLeast is a difference that means nothing in any unit.
	flatLeast = 5
)

// growing names the series whose last third is above the one before it.
func (r *recording) growing() []string {
	var names []string
	third := len(r.at) / 3
	if third < 3 {
		return nil
	}
	for name, s := range r.series {
		if strings.HasPrefix(name, expiring) {
			continue
		}
		before, last := mean(s[third:2*third]), mean(s[2*third:])
		if last > before*flatPart && last-before > flatLeast {
			names = append(names, fmt.Sprintf("%s: %.1f → %.1f", name, before, last))
		}
	}
	slices.Sort(names)
	return names
}

func mean(s []float64) float64 {
	sum := 0.0
	for _, v := range s {
		sum += v
	}
	return sum / float64(len(s))
}

// write writes steady.csv and steady.svg.
func (r *recording) write(dir string) (err error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return fmt.Errorf("write recording: %w", err)
	}
	f, err := os.Create(filepath.Join(dir, "steady.csv"))
	if err != nil {
		return fmt.Errorf("write recording: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	names := slices.Sorted(maps.Keys(r.series))
	out := csv.NewWriter(f)
	rows := [][]string{append([]string{"seconds"}, names...)}
	for i, at := range r.at {
		row := []string{strconv.FormatFloat(at.Seconds(), 'f', 1, 64)}
		for _, name := range names {
			row = append(row, strconv.FormatFloat(r.series[name][i], 'f', -1, 64))
		}
		rows = append(rows, row)
	}
	if err := out.WriteAll(rows); err != nil {
		return fmt.Errorf("write recording: %w", err)
	}
	return os.WriteFile(filepath.Join(dir, "steady.svg"), []byte(r.svg()), 0o600)
}

// The measures of the drawing, in pixels.
const (
	panelWidth, panelHeight = 360, 150
	panelColumns            = 2
	labelWidth, labelHeight = 44, 76
	legendColumns           = 4
)

// colours are told apart by people who do not see all of them (Okabe and Ito).
var colours = []string{"#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#000000", "#999999"}

// svg draws a panel for each unit, with a line for each process, from zero up.
func (r *recording) svg() string {
	panels := map[string][]string{}
	for name := range r.series {
		panel, _, _ := strings.Cut(name, "/")
		panels[panel] = append(panels[panel], name)
	}
	rows := (len(panels) + panelColumns - 1) / panelColumns
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="10">`+"\n",
		panelColumns*(panelWidth+labelWidth), rows*(panelHeight+labelHeight)+10)
	b.WriteString(`<rect width="100%" height="100%" fill="white"/>` + "\n")
	for i, panel := range slices.Sorted(maps.Keys(panels)) {
		names := panels[panel]
		slices.Sort(names)
		fmt.Fprintf(&b, `<g transform="translate(%d,%d)">`+"\n", i%panelColumns*(panelWidth+labelWidth)+labelWidth-8, i/panelColumns*(panelHeight+labelHeight)+24)
		r.panel(&b, panel, names)
		b.WriteString("</g>\n")
	}
	b.WriteString("</svg>\n")
	return b.String()
}

func (r *recording) panel(b *strings.Builder, title string, names []string) {
	top := 1.0
	for _, name := range names {
		top = max(top, slices.Max(r.series[name]))
	}
	end := r.at[len(r.at)-1]
	fmt.Fprintf(b, `<text y="-8" font-weight="bold">%s</text>`+"\n", html.EscapeString(title))
	fmt.Fprintf(b, `<path d="M0 0V%dH%d" fill="none" stroke="#888"/>`+"\n", panelHeight, panelWidth-20)
	fmt.Fprintf(b, `<text x="-4" y="8" text-anchor="end">%.0f</text><text x="-4" y="%d" text-anchor="end">0</text>`+"\n", top, panelHeight)
	fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="end">%s</text>`+"\n", panelWidth-20, panelHeight+12, end.Round(time.Second))
	for i, name := range names {
		colour, dash := colours[i%len(colours)], ""
		if i >= len(colours) {
			dash = ` stroke-dasharray="4 2"`
		}
		var points strings.Builder
		for k, at := range r.at {
			fmt.Fprintf(&points, "%.1f,%.1f ", float64(panelWidth-20)*at.Seconds()/max(end.Seconds(), 1), panelHeight*(1-r.series[name][k]/top))
		}
		fmt.Fprintf(b, `<polyline points="%s" fill="none" stroke="%s"%s/>`+"\n", points.String(), colour, dash)
		_, process, _ := strings.Cut(name, "/")
		x, y := i%legendColumns*85, panelHeight+24+i/legendColumns*12
		fmt.Fprintf(b, `<path d="M%d %dh14" stroke="%s"%s/><text x="%d" y="%d">%s</text>`+"\n", x, y-3, colour, dash, x+18, y, html.EscapeString(process))
	}
}
