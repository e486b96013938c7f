package main

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// bar is a progress bar on a terminal, drawn over itself. It is ours because the library
// that drew it was 0.2 MB of this command.
type bar struct {
	w     io.Writer
	width int
	began time.Time
}

// barAround is what stands beside the bar: the state with its position in the queue, the
// figures, the time.
const barAround = 54

// newBar makes a bar that fits the terminal. Nothing is drawn yet.
func newBar(w io.Writer) *bar {
	width, _ := terminalWidth(w)
	return &bar{w, max(8, min(40, width-barAround)), time.Now()}
}

// draw shows a part of a whole; before and after stand beside it.
func (b *bar) draw(before string, part, whole int, after string) {
	full := b.width
	if whole > 0 {
		full = b.width * max(0, min(part, whole)) / whole
	}
	fmt.Fprintf(b.w, "\r%s |%s%s| %s [%s]\x1b[K", before, strings.Repeat("█", full), strings.Repeat(" ", b.width-full), after, time.Since(b.began).Round(time.Second))
}

// clear takes the bar away.
func (b *bar) clear() { fmt.Fprint(b.w, "\r\x1b[K") }
