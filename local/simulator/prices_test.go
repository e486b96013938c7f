package simulator

import (
	"crypto/sha256"
	"encoding/hex"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestBuiltinPrices(t *testing.T) {
	t.Parallel()
	for ticker, want := range map[string][2]float64{
		"DAX": {1628.75, 5473.72}, "SMI": {1678.1, 7676.3}, "CAC": {1772.8, 3995}, "ftse": {2443.6, 5455},
	} {
		s, err := loadSeries("", ticker, 1)
		require.NoError(t, err)
		require.False(t, s.synthetic)
		require.Len(t, s.closes, 1860)
		require.Equal(t, want, [2]float64{s.closes[0], s.closes[1859]})
	}
	s, err := loadSeries("", "time", 1)
	require.NoError(t, err)
	require.True(t, s.synthetic, "the date column is no ticker")
	again, err := loadSeries("", "TIME", 1)
	require.NoError(t, err)
	other, err := loadSeries("", "AAPL", 1)
	require.NoError(t, err)
	require.Equal(t, s.data().Hash, again.data().Hash)
	require.NotEqual(t, s.data().Hash, other.data().Hash)
	require.Equal(t, &dataAnswer{Source: "synthetic", Bars: syntheticDays, Hash: s.data().Hash, BuyAndHold: 153.488972}, s.data())
}

func TestParsePrices(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text string
		want []float64
	}{
		"close":        {"date,close\n2024-01-02,1\n2024-01-03,2\n", []float64{1, 2}},
		"newest first": {"Date,Close\n2024-01-03,2\n2024-01-02,1\n", []float64{1, 2}},
		"ohlc":         {"Date,Open,High,Low,Close,Volume\n2024-01-02,9,9,9,1,9\n", []float64{1}},
		"adjusted":     {"Date,Close,Adj Close\n2024-01-02,9,1\n", []float64{1}},
		"gaps, BOM":    {"\xef\xbb\xbfdate,close\r\n2024-01-02,1\r\n2024-01-03,\r\n2024-01-04,null\r\n2024-01-05,2\r\n", []float64{1, 2}},
	} {
		got, days, found, err := parsePrices(strings.NewReader(c.text), "adj close", "close")
		require.NoError(t, err, name)
		require.True(t, found, name)
		require.Equal(t, c.want, got, name)
		require.Len(t, days, len(got), name)
		require.Equal(t, "2024-01-02", days[0], name)
	}
	for _, text := range []string{"", "date,open\n1,2\n", "close\n1\n"} {
		_, _, found, err := parsePrices(strings.NewReader(text), "close")
		require.NoError(t, err)
		require.False(t, found, text)
	}
	for _, text := range []string{"date,close\n1,x\n", "date,close\n1,0\n", "date,close\n1,inf\n", "date,close\n1\n", "date,close\n1,\"\n"} {
		_, _, _, err := parsePrices(strings.NewReader(text), "close")
		require.Error(t, err, text)
	}
}

// The same prices have the same hash, whichever way round their file is.
func TestPricesAreTold(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	write("UP.csv", "date,close\n2024-01-02,1\n2024-01-03,2.50\n")
	write("DOWN.csv", "date,close,volume\n2024-01-03,2.5,7\n2024-01-02,1,8\n")
	sum := sha256.Sum256([]byte("2024-01-02,1\n2024-01-03,2.5\n"))
	for _, ticker := range []string{"UP", "DOWN"} {
		s, err := loadSeries(dir, ticker, 1)
		require.NoError(t, err)
		require.Equal(t, &dataAnswer{
			Source: ticker + ".csv", FirstDay: "2024-01-02", LastDay: "2024-01-03", Bars: 2, Hash: "sha256:" + hex.EncodeToString(sum[:]), BuyAndHold: 150,
		}, s.data())
	}
	write("LONG.csv", "date,close\n"+strings.Repeat("9", maxDay+1)+",1\n")
	_, err := loadSeries(dir, "LONG", 1)
	require.ErrorContains(t, err, "date is longer")
}

func FuzzParsePrices(f *testing.F) {
	f.Add("date,close\n2024-01-02,1\n2024-01-03,null\n")
	f.Add("time,DAX,close\n1991.5,1e3,0x1p4\n")
	f.Fuzz(func(t *testing.T, text string) {
		closes, days, found, err := parsePrices(strings.NewReader(text), "close")
		if err != nil || !found {
			require.Empty(t, closes)
		}
		require.Len(t, days, len(closes))
		for _, c := range closes {
			require.True(t, c > 0 && !math.IsInf(c, 0))
		}
	})
}

func FuzzReadSubmission(f *testing.F) {
	f.Add([]byte(`{"ticker":"DAX","fast_range":[5,10],"slow_range":[20,40],"step":5}`), false)
	f.Add([]byte(`ticker=DAX&fast_range=[5,10]&slow_range=[20,40]&step=5`), true)
	f.Fuzz(func(t *testing.T, body []byte, form bool) {
		parse := parseJSON
		if form {
			parse = parseForm
		}
		req, err := parse(body)
		var invalid *invalidError
		if err != nil {
			require.ErrorAs(t, err, &invalid)
			return
		}
		if len(req.problems()) == 0 {
			require.Positive(t, req.combinations())
		}
	})
}
