package client

import (
	"context"
	"encoding/json"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strconv"

	"github.com/zixly/sweepline/shared/job"
)

// ResultFilter says which rows of a sweep are read, and in what order. The zero value is
// all of them, best score first.
type ResultFilter struct {
	// Sort is a figure of a row as its JSON names it, or its short name, such as "sharpe";
	// score if empty.
	Sort string
	// Dir is "asc" or "desc"; the best first if empty.
	Dir string
	// Where are conditions that each row meets, such as "trades>=30".
	Where []string
	// Limit is how many rows at most, 1 to 10,000; 0 is the server's choice: 50 as JSON,
	// all as CSV.
	Limit int
	// Offset leaves out the first rows.
	Offset int
}

func (f ResultFilter) query() url.Values {
	q := url.Values{}
	set(q, "sort", f.Sort)
	set(q, "dir", f.Dir)
	if f.Limit != 0 {
		q.Set("limit", strconv.Itoa(f.Limit))
	}
	if f.Offset != 0 {
		q.Set("offset", strconv.Itoa(f.Offset))
	}
	for _, condition := range f.Where {
		q.Add("where", condition)
	}
	return q
}

// ResultPage is a page of a sweep's rows.
type ResultPage struct {
	JobID string `json:"job_id"`
	// Status says whether rows may be added: not to a job that has ended.
	Status job.State `json:"status"`
	// Total counts the rows that meet the conditions, on all pages.
	Total  int `json:"total"`
	Offset int `json:"offset"`
	// Sort and Dir are the order that the rows are in.
	Sort    string    `json:"sort"`
	Dir     string    `json:"dir"`
	Results []job.Row `json:"results"`
}

// Results reads a page of a sweep's rows.
func (c *Client) Results(ctx context.Context, id string, f ResultFilter) (ResultPage, error) {
	var p ResultPage
	q := f.query()
	q.Set("format", "json")
	err := c.do(ctx, call{method: http.MethodGet, path: ofJob(id, "/results"), query: q}, &p)
	return p, err
}

// Surface reads what heat maps of a completed job are drawn from, as the API's description
// has it; heatmap.ParseSurface reads it. It is a 404 Error for a job that has not
// completed, or has too few rows.
func (c *Client) Surface(ctx context.Context, id string) (json.RawMessage, error) {
	var s json.RawMessage
	err := c.do(ctx, call{method: http.MethodGet, path: ofJob(id, "/surface")}, &s)
	return s, err
}

// pageSize is how many rows AllResults reads at a time: a page is a few MB.
const pageSize = 5000

// AllResults reads rows page by page, f.Limit of them or, if it is 0, all. An error ends
// it.
func (c *Client) AllResults(ctx context.Context, id string, f ResultFilter) iter.Seq2[job.Row, error] {
	return func(yield func(job.Row, error) bool) {
		left := f.Limit
		for {
			f.Limit = pageSize
			if left > 0 {
				f.Limit = min(left, pageSize)
			}
			p, err := c.Results(ctx, id, f)
			if err != nil {
				yield(job.Row{}, err)
				return
			}
			for _, r := range p.Results {
				if !yield(r, nil) {
					return
				}
			}
			n := len(p.Results)
			if left -= n; n < f.Limit || left == 0 {
				return
			}
			f.Offset += n
		}
	}
}

// ResultsCSV downloads rows of a sweep, all of them if f.Limit is 0, with a header line.
// The caller closes it. A download that is cut off ends with io.ErrUnexpectedEOF.
func (c *Client) ResultsCSV(ctx context.Context, id string, f ResultFilter) (io.ReadCloser, error) {
	resp, err := c.open(ctx, call{method: http.MethodGet, path: ofJob(id, "/results.csv"), query: f.query()})
	if err != nil {
		return nil, err
	}
	return resp.Body, nil
}
