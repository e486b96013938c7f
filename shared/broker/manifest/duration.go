package manifest

import (
	"errors"
	"math"
	"strconv"
	"time"
)

var errDuration = errors.New("is not an ISO 8601 duration such as PT2S or PT0.5S")

// parseDuration reads an ISO 8601 duration. Years and months, which have no
// fixed length, count as in Knative: by their average in the Gregorian calendar.
func parseDuration(s string) (time.Duration, error) {
	const day = 24 * float64(time.Hour)
	date := map[byte]float64{'Y': 365.2425 * day, 'M': 30.436875 * day, 'W': 7 * day, 'D': day}
	clock := map[byte]float64{'H': float64(time.Hour), 'M': float64(time.Minute), 'S': float64(time.Second)}
	order := "YMWDhmS"
	if len(s) < 3 || s[0] != 'P' {
		return 0, errDuration
	}
	units, last, total, inTime, parts := date, -1, 0.0, false, 0
	for rest := s[1:]; rest != ""; {
		if rest[0] == 'T' && !inTime && len(rest) > 1 {
			units, inTime, rest = clock, true, rest[1:]
			continue
		}
		n := 0
		for n < len(rest) && (rest[n] >= '0' && rest[n] <= '9' || rest[n] == '.' || rest[n] == ',') {
			n++
		}
		if n == 0 || n == len(rest) {
			return 0, errDuration
		}
		number := []byte(rest[:n])
		for i := range number {
			if number[i] == ',' {
				number[i] = '.'
			}
		}
		value, err := strconv.ParseFloat(string(number), 64)
		unit, known := units[rest[n]]
		pos := position(order, rest[n], inTime)
		if err != nil || !known || pos <= last {
			return 0, errDuration
		}
		last = pos
		total += value * unit
		parts++
		rest = rest[n+1:]
	}
	if parts == 0 || total > math.MaxInt64/2 {
		return 0, errDuration
	}
	return time.Duration(math.Round(total)), nil
}

func position(order string, unit byte, inTime bool) int {
	if inTime && unit != 'S' {
		unit += 'a' - 'A'
	}
	for i := range len(order) {
		if order[i] == unit {
			return i
		}
	}
	return -1
}
