package job_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/job"
)

func TestPricesInWords(t *testing.T) {
	t.Parallel()
	for want, m := range map[string]*job.Metrics{
		"":                    nil,
		"unknown":             {},
		"made up":             {Synthetic: true},
		"made up (2520 bars)": {Synthetic: true, Data: &job.Data{Source: "synthetic", Bars: 2520}},
		"DAX.csv, 2020-01-02 to 2024-12-30, 1250 bars":        {Data: &job.Data{Source: "DAX.csv", FirstDay: "2020-01-02", LastDay: "2024-12-30", Bars: 1250}},
		"feed, 2020-01-02 to unknown, number of bars unknown": {Data: &job.Data{Source: "feed", FirstDay: "2020-01-02"}},
		"source unknown, days unknown, 7 bars":                {Data: &job.Data{Bars: 7}},
	} {
		require.Equal(t, want, job.Job{Metrics: m}.Prices())
		require.Equal(t, m != nil && m.Synthetic, job.Job{Metrics: m}.MadeUp())
	}
}
