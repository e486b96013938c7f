package heatmap

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/zixly/sweepline/shared/job"
)

// TopRows is how many of a sweep's best rows its surface holds.
const TopRows = 20

// Surface is a sweep over fast and slow periods: everything that maps of it need. Its
// size is bounded, however many rows there are. It is computed once, when the last row
// is stored, and kept beside large sweeps.
type Surface struct {
	// Fast and Slow are the periods that occur, in order.
	Fast []int `json:"fast"`
	Slow []int `json:"slow"`
	// Signals says that rows differ in a third period.
	Signals bool `json:"signals,omitempty"`
	// Rows counts all rows, Shared those of the fullest field.
	Rows   int `json:"rows"`
	Shared int `json:"shared"`
	// Filled are the fields that hold rows, by fast and then by slow bins: the fast one
	// times the number of slow ones, plus the slow one.
	Filled []int `json:"filled"`
	// Layers are the metrics, in the order of Metrics.
	Layers []Layer `json:"layers"`
	// Robust is the row whose neighbourhood is the best at its worst; nil where rows have
	// no neighbours.
	Robust *Robust `json:"robust,omitempty"`
	// Top are the best rows by score.
	Top []job.Row `json:"top,omitempty"`
}

// Robust is a row with what is around it.
type Robust struct {
	Point

	Worst  float64 `json:"worst"`
	Median float64 `json:"median"`
}

// SurfaceOf lays spots out that Judge has judged; false where there are too few to make an area.
func SurfaceOf(spots []Spot) (Surface, bool) {
	if len(spots) < 2 {
		return Surface{}, false
	}
	fast := axisOf(spots, MostLines, func(s Spot) int { return int(s.Fast) })
	slow := axisOf(spots, MostColumns, func(s Spot) int { return int(s.Slow) })
	s := Surface{Fast: fast.values, Slow: slow.values, Rows: len(spots)}
	all := make([][]int32, fast.Bins()*slow.Bins())
	for i, p := range spots {
		at := fast.Bin(int(p.Fast))*slow.Bins() + slow.Bin(int(p.Slow))
		all[at] = append(all[at], int32(i))
		s.Signals = s.Signals || p.Signal != noSignal
		s.Shared = max(s.Shared, len(all[at]))
	}
	var fields [][]int32
	for at, field := range all {
		if len(field) > 0 {
			s.Filled, fields = append(s.Filled, at), append(fields, field)
		}
	}
	for m := range Metrics {
		s.Layers = append(s.Layers, layer(m, spots, fields))
	}
	if r := robust(spots); r != nil {
		s.Robust = &Robust{Point: pointOf(*r), Worst: r.Worst, Median: r.Median}
	}
	return s, true
}

// Map is the map of one metric and one stat.
func (s Surface) Map(metric int, stat Stat) Map {
	l := s.Layers[metric]
	m := Map{
		Fast: axis(s.Fast, MostLines), Slow: axis(s.Slow, MostColumns), Metric: Metrics[metric], Stat: stat,
		Best: l.Top, Value: l.Value, Rows: s.Rows, Shared: s.Shared, Low: l.Low, Middle: l.Middle, High: l.High, Signals: s.Signals, Robust: s.Robust,
	}
	figures, worst := l.Of[stat], s.Layers[0].Of[Worst]
	m.Scale = scaleOf(figures, l.Descending)
	for i, at := range s.Filled {
		f := Field{Fast: at / m.Slow.Bins(), Slow: at % m.Slow.Bins(), Score: float64(figures[i]), Shade: m.Scale.Shade(float64(figures[i]))}
		f.high = s.Robust != nil && worst[i] >= single(s.Robust.Worst)
		m.Fields = append(m.Fields, f)
	}
	if s.Robust != nil {
		m.plateau()
	}
	m.BestField = m.fieldOf(l.Top)
	return m
}

// maxSurface bounds a surface that is read, unpacked, in bytes. The largest takes a third.
const maxSurface = 2 << 20

// Encode packs a surface.
func (s Surface) Encode() ([]byte, error) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if err := errors.Join(json.NewEncoder(z).Encode(s), z.Close()); err != nil {
		return nil, fmt.Errorf("encode surface: %w", err)
	}
	return b.Bytes(), nil
}

// DecodeSurface unpacks what Encode has packed.
func DecodeSurface(packed []byte) (Surface, error) {
	var s Surface
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err == nil {
		err = json.NewDecoder(io.LimitReader(z, maxSurface)).Decode(&s)
	}
	if err != nil {
		return s, fmt.Errorf("decode surface: %w", err)
	}
	return s, s.check()
}

// ParseSurface reads a surface as the API answers with it, in JSON.
func ParseSurface(text []byte) (Surface, error) {
	var s Surface
	if err := json.Unmarshal(text, &s); err != nil {
		return s, fmt.Errorf("decode surface: %w", err)
	}
	return s, s.check()
}

// check refuses a surface that no map can be made of: somebody else wrote it.
func (s Surface) check() error {
	fields := axis(s.Fast, MostLines).Bins() * axis(s.Slow, MostColumns).Bins()
	if len(s.Fast) == 0 || len(s.Slow) == 0 || len(s.Filled) == 0 || len(s.Layers) != NumMetrics {
		return errors.New("decode surface: parts are missing")
	}
	for _, at := range s.Filled {
		if at < 0 || at >= fields {
			return errors.New("decode surface: a field lies beyond it")
		}
	}
	for _, l := range s.Layers {
		for _, stat := range Stats {
			if len(l.Of[stat]) != len(s.Filled) {
				return errors.New("decode surface: figures are missing")
			}
		}
	}
	return nil
}
