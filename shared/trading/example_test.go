package trading_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/trading"
)

// A sweep is submitted; where the answer gets lost, the API's list tells whether it has
// it, by the job id in the callback URL.
func ExampleClient_Find() {
	var callback string
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			callback = "http://sweepline/webhook/sweep-callback?job=JOB&token=TOKEN"
			w.WriteHeader(http.StatusBadGateway) // it was taken, and nobody hears of it
			return
		}
		_, _ = fmt.Fprintf(w, `[{"job_id":"sweep-1","status":"running","parameters":{"webhook_url":%q}}]`, callback)
	}))
	defer api.Close()
	c, err := trading.New(trading.Config{URL: api.URL})
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	_, err = c.Submit(ctx, job.Sweep{Ticker: "DAX", FastRange: [2]int{5, 10}, SlowRange: [2]int{20, 40}, Step: 5}, "http://sweepline", nil)
	fmt.Println("uncertain:", trading.Uncertain(err))

	found, err := c.Find(ctx, "JOB", today)
	if err != nil {
		panic(err)
	}
	fmt.Println("found:", found[0].ID, found[0].Status)
	// Output:
	// uncertain: true
	// found: sweep-1 running
}
