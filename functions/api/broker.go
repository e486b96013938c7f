package api

import (
	"errors"
	"log/slog"
	"net/http"

	"github.com/zixly/sweepline/shared/broker"
	"github.com/zixly/sweepline/shared/function"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobs"
)

func refuseNonOperators(w http.ResponseWriter, _ *http.Request) {
	function.WriteError(w, http.StatusForbidden, function.CodeOperators, jobs.OperatorsRule)
}

func (f *Function) getBroker(w http.ResponseWriter, r *http.Request) {
	v, err := f.jobs.ReadBroker(r.Context())
	if err != nil {
		slog.WarnContext(r.Context(), "reading broker failed", "error", err)
		function.WriteUnavailable(w, err)
		return
	}
	function.WriteJSON(w, http.StatusOK, v)
}

func (f *Function) actOnTrigger(act string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		done, err := f.jobs.Steer(r.Context(), act, jobs.TriggerOf(r), r.URL.Query().Get("since"))
		var invalid job.Invalid
		switch {
		case err == nil:
			function.WriteJSON(w, http.StatusAccepted, map[string]string{"trigger": jobs.TriggerOf(r).String(), "message": done})
		case errors.As(err, &invalid):
			jobs.AnswerBadQuery(w, err)
		case errors.Is(err, broker.ErrNotFound):
			function.WriteNotFound(w, "trigger")
		default:
			slog.WarnContext(r.Context(), "changing trigger failed", "act", act, "error", err)
			function.WriteUnavailable(w, err)
		}
	}
}
