package jobs

import (
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/munnerz/goautoneg"

	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobstore"
)

// Bounds of a query of rows.
const (
	// maxOffset is beyond the last row of any sweep.
	maxOffset = 1_000_000
	// longestNumber is how many characters a condition's number may have.
	longestNumber = 32
)

// ResultParameters are the query parameters of rows.
var ResultParameters = []string{"sort", "dir", "limit", "offset", "where"}

// ParseResults reads which rows are asked for. Its error is a job.Invalid with all
// problems. Empty parameters do not count, as a form sends them.
func ParseResults(v url.Values) (jobstore.RowQuery, error) {
	var q jobstore.RowQuery
	var problems job.Invalid
	bad := func(field, message string) { problems = append(problems, job.Problem{Field: field, Message: message}) }
	by, known := jobstore.RowColumnOf(v.Get("sort"))
	if !known && v.Get("sort") != "" {
		bad("sort", "must be one of "+metrics())
	}
	if !known {
		by, _ = jobstore.RowColumnOf("score")
	}
	q.By = by.Name
	switch v.Get("dir") {
	case "":
		q.Ascending = by.LeastFirst
	case "asc":
		q.Ascending = true
	case "desc":
	default:
		bad("dir", "must be asc or desc")
	}
	for _, n := range []struct {
		name        string
		into        *int
		least, most int
	}{{"limit", &q.Limit, 1, jobstore.MaxRows}, {"offset", &q.Offset, 0, maxOffset}} {
		if text := v.Get(n.name); text != "" {
			x, err := strconv.Atoi(text)
			if err != nil || x < n.least || x > n.most {
				bad(n.name, "must be "+strconv.Itoa(n.least)+" to "+strconv.Itoa(n.most))
			}
			*n.into = x
		}
	}
	for _, text := range v["where"] {
		var err error
		if q.Where, err = addConditions(q.Where, text, bad); err != nil {
			break
		}
	}
	if len(problems) > 0 {
		return q, problems
	}
	return q, nil
}

// errTooMany ends the reading of conditions.
var errTooMany = job.Invalid{{Field: "where", Message: "must be at most " + strconv.Itoa(jobstore.MaxConditions) + " conditions"}}

// addConditions reads conditions separated by commas: each a metric, an operator, a number.
func addConditions(to []jobstore.Condition, text string, bad func(field, message string)) ([]jobstore.Condition, error) {
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		if len(to) == jobstore.MaxConditions {
			bad(errTooMany[0].Field, errTooMany[0].Message)
			return to, errTooMany
		}
		c, problem := parseCondition(part)
		if problem != "" {
			bad("where", "condition "+strconv.Itoa(len(to)+1)+" "+problem)
		}
		to = append(to, c)
	}
	return to, nil
}

// parseCondition reads one condition, or says what is wrong with it.
func parseCondition(text string) (c jobstore.Condition, problem string) {
	at := strings.IndexAny(text, "<>=!")
	if at < 0 {
		return c, "must be a metric, an operator and a number, such as trades>=30"
	}
	column, known := jobstore.RowColumnOf(strings.TrimSpace(text[:at]))
	for _, o := range jobstore.Operators { // the longer ones come first
		if strings.HasPrefix(text[at:], o) {
			c.Operator = o
			break
		}
	}
	number := strings.TrimSpace(text[at+len(c.Operator):])
	x, err := strconv.ParseFloat(number, 64)
	var wrong []string
	if !known {
		wrong = append(wrong, "must name one of "+metrics())
	}
	if c.Operator == "" {
		wrong = append(wrong, "must have one of the operators "+strings.Join(jobstore.Operators, " "))
	} else if err != nil || len(number) > longestNumber || strings.Trim(number, "0123456789.eE+-") != "" || math.Abs(x) > jobstore.Largest {
		wrong = append(wrong, "must end in a number")
	}
	c.Column, c.Value = column.Name, x
	return c, strings.Join(wrong, ", and ")
}

// metrics names what rows are sorted and filtered by.
func metrics() string {
	names := make([]string, len(jobstore.RowColumns))
	for i, c := range jobstore.RowColumns {
		if names[i] = c.Name; c.Short != "" {
			names[i] += " (" + c.Short + ")"
		}
	}
	return strings.Join(names, ", ")
}

// Forms of an answer with rows.
const (
	asJSON = "json"
	asCSV  = "csv"
)

// formOf is the form that a request asks for: by its parameter, else by Accept.
func formOf(r *http.Request) (string, error) {
	switch f := r.URL.Query().Get("format"); f {
	case asJSON, asCSV:
		return f, nil
	case "":
	default:
		return "", job.Invalid{{Field: "format", Message: "must be json or csv"}}
	}
	for _, a := range goautoneg.ParseAccept(strings.Join(r.Header.Values("Accept"), ",")) { // best first
		switch name := strings.ToLower(a.Type + "/" + a.SubType); {
		case a.Q <= 0:
		case name == "text/csv":
			return asCSV, nil
		case slices.Contains([]string{"application/json", "application/*", "*/*"}, name):
			return asJSON, nil
		}
	}
	return asJSON, nil
}

// joined puts the problems of several parts of a query together.
func joined(errs ...error) error {
	var all job.Invalid
	for _, err := range errs {
		if some, ok := err.(job.Invalid); ok { //nolint:errorlint // the parsers return it as it is
			all = append(all, some...)
		}
	}
	if len(all) == 0 {
		return nil
	}
	all.Sort()
	return all
}
