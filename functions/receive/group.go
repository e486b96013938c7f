package receive

import (
	"fmt"
	"net/http"

	"github.com/zixly/sweepline/shared/enqueue"
	"github.com/zixly/sweepline/shared/function"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/rfc3339"
)

// acceptedGroup is the body of a 202 for many tickers.
type acceptedGroup struct {
	GroupID string    `json:"group_id"`
	Status  job.State `json:"status"`
	Message string    `json:"message"`
	// Jobs are in the order of the tickers.
	Jobs []acceptedMember `json:"jobs"`
	// StatusURL lists the group's jobs; DashboardURL is its page.
	StatusURL    string        `json:"status_url"`
	DashboardURL string        `json:"dashboard_url"`
	CreatedAt    rfc3339.Milli `json:"created_at"`
}

type acceptedMember struct {
	jobAddresses

	Ticker string `json:"ticker"`
}

func (f *Function) answerGroup(w http.ResponseWriter, got []enqueue.Accepted, replayed bool) {
	first := got[0].Header
	body := acceptedGroup{
		GroupID: first.GroupID, Status: job.Queued, Message: fmt.Sprintf("%d sweeps are queued", len(got)), CreatedAt: rfc3339.Milli(first.CreatedAt),
		StatusURL: f.public + "/api/jobs?group=" + first.GroupID, DashboardURL: f.public + "/?group=" + first.GroupID,
	}
	if replayed {
		body.Message = fmt.Sprintf("%d sweeps were asked for before", len(got))
	}
	for _, a := range got {
		body.Jobs = append(body.Jobs, acceptedMember{f.addresses(a.Header), a.Header.Parameters.Ticker})
	}
	w.Header().Set("Location", f.path+"/api/jobs?group="+first.GroupID)
	function.WriteJSON(w, http.StatusAccepted, body)
}
