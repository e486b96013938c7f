package simulator

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	_ "embed"
	"encoding/csv"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Bounds of a price file: what a person would put into the folder fits many
// times over, and nothing can exhaust the memory.
const (
	maxPriceFile = 32 << 20
	maxPriceRows = 100_000
	maxDay       = 40
)

// builtinName is the file of the prices that come with the program: a column for each
// ticker. It is a tenth of a megabyte, and a third of that compressed.
const builtinName = "eu-indices-1991-1998.csv"

//go:embed prices/eu-indices-1991-1998.csv.gz
var builtin []byte

// series is one ticker's daily closes, oldest first, all finite and positive.
type series struct {
	ticker    string
	source    string
	synthetic bool
	closes    []float64
	// days are the dates of closes as their file writes them; empty where they are made
	// up.
	days []string
}

// data tells the series from others. Its hash is the SHA-256 of one line for each
// close: the day as the file writes it, a comma, the shortest decimal of the close,
// and a newline.
func (s series) data() *dataAnswer {
	sum := sha256.New()
	for i, c := range s.closes {
		fmt.Fprintf(sum, "%s,%s\n", s.days[i], strconv.FormatFloat(c, 'f', -1, 64))
	}
	d := &dataAnswer{Source: s.source, Bars: len(s.closes), Hash: "sha256:" + hex.EncodeToString(sum.Sum(nil))}
	if n := len(s.closes); n > 0 {
		d.BuyAndHold = round6(100 * (s.closes[n-1]/s.closes[0] - 1))
	}
	if n := len(s.days); n > 0 {
		d.FirstDay, d.LastDay = s.days[0], s.days[n-1]
	}
	return d
}

// loadSeries finds the prices of ticker: first in dir (may be empty), then in
// the built-in file; for any other ticker it makes a synthetic series.
func loadSeries(dir, ticker string, seed uint64) (series, error) {
	if dir != "" {
		root, err := os.OpenRoot(dir)
		if err != nil {
			return series{}, fmt.Errorf("open prices folder: %w", err)
		}
		defer root.Close()
		s, found, err := findSeries(root.FS(), ticker)
		if err != nil || found {
			return s, err
		}
	}
	s, found, err := builtinSeries(ticker)
	if err != nil || found {
		return s, err
	}
	return synthesize(ticker, seed), nil
}

func builtinSeries(ticker string) (series, bool, error) {
	f, err := gzip.NewReader(bytes.NewReader(builtin))
	if err != nil {
		return series{}, false, fmt.Errorf("open built-in prices: %w", err)
	}
	closes, days, found, err := parsePrices(f, ticker)
	if err != nil {
		return series{}, false, fmt.Errorf("read built-in prices: %w", err)
	}
	return series{ticker: ticker, source: builtinName, closes: closes, days: days}, found, nil
}

// findSeries looks for a file named after the ticker, then for a column of that
// name in any other file. Case does not matter; "/" in a ticker is "_" in a name.
func findSeries(files fs.FS, ticker string) (series, bool, error) {
	names, err := fs.Glob(files, "*.[cC][sS][vV]")
	if err != nil {
		return series{}, false, fmt.Errorf("list prices: %w", err)
	}
	slices.Sort(names)
	own := strings.ReplaceAll(ticker, "/", "_") + ".csv"
	for _, name := range names {
		if !strings.EqualFold(path.Base(name), own) {
			continue
		}
		s, found, err := readSeries(files, name, ticker)
		if err == nil && !found {
			err = fmt.Errorf("read prices %s: no column close, adj close or %s", path.Base(name), ticker)
		}
		return s, true, err
	}
	for _, name := range names {
		s, found, err := readColumn(files, name, ticker)
		if err != nil || found {
			return s, found, err
		}
	}
	return series{}, false, nil
}

// readSeries reads a file of one ticker: its adjusted close where there is one,
// else its close, else a column of the ticker's name.
func readSeries(files fs.FS, name, ticker string) (series, bool, error) {
	return readPrices(files, name, ticker, "adj close", "adj_close", "close", ticker)
}

// readColumn reads a wide file: one column for each ticker.
func readColumn(files fs.FS, name, ticker string) (series, bool, error) {
	return readPrices(files, name, ticker, ticker)
}

func readPrices(files fs.FS, name, ticker string, columns ...string) (series, bool, error) {
	f, err := files.Open(name)
	if err != nil {
		return series{}, false, fmt.Errorf("open prices: %w", err)
	}
	defer f.Close()
	closes, days, found, err := parsePrices(f, columns...)
	if err != nil {
		return series{}, false, fmt.Errorf("read prices %s: %w", path.Base(name), err)
	}
	return series{ticker: ticker, source: path.Base(name), closes: closes, days: days}, found, nil
}

// parsePrices reads the first of columns that the CSV's header names, oldest
// price first. The first column is the date: ISO dates or decimal years; a file
// with the newest day first is turned around. Days without a price (empty,
// "null", "nan") are left out.
func parsePrices(r io.Reader, columns ...string) (closes []float64, days []string, found bool, err error) {
	data, err := io.ReadAll(io.LimitReader(r, maxPriceFile+1))
	if err != nil {
		return nil, nil, false, fmt.Errorf("read file: %w", err)
	}
	if len(data) > maxPriceFile {
		return nil, nil, false, fmt.Errorf("file is larger than %d bytes", maxPriceFile)
	}
	rows := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))))
	rows.ReuseRecord = true
	header, err := rows.Read()
	if errors.Is(err, io.EOF) {
		return nil, nil, false, nil
	}
	if err != nil {
		return nil, nil, false, fmt.Errorf("read header: %w", err)
	}
	column := findColumn(header, columns)
	if column < 0 {
		return nil, nil, false, nil
	}

	for {
		record, err := rows.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, nil, false, fmt.Errorf("read row: %w", err)
		}
		text := strings.TrimSpace(record[column])
		if text == "" || strings.EqualFold(text, "null") || strings.EqualFold(text, "nan") {
			continue
		}
		line, _ := rows.FieldPos(0)
		price, err := strconv.ParseFloat(text, 64)
		if err != nil || !(price > 0) || math.IsInf(price, 0) {
			return nil, nil, false, fmt.Errorf("line %d: %q: must be a positive price", line, text)
		}
		if len(closes) == maxPriceRows {
			return nil, nil, false, fmt.Errorf("more than %d days", maxPriceRows)
		}
		day := record[0]
		if len(day) > maxDay {
			return nil, nil, false, fmt.Errorf("line %d: date is longer than %d bytes", line, maxDay)
		}
		closes, days = append(closes, price), append(days, strings.Clone(day)) // record shares a line's memory
	}
	if n := len(days); n > 0 && days[0] > days[n-1] {
		slices.Reverse(closes)
		slices.Reverse(days)
	}
	return closes, days, true, nil
}

// findColumn returns the index of the first wanted column, -1 without one. The
// first column is the date and never a price.
func findColumn(header, wanted []string) int {
	for _, name := range wanted {
		for i, h := range header {
			if i > 0 && strings.EqualFold(strings.TrimSpace(h), name) {
				return i
			}
		}
	}
	return -1
}
