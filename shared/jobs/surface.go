package jobs

import (
	"net/http"

	"github.com/zixly/sweepline/shared/function"
	"github.com/zixly/sweepline/shared/heatmap"
	"github.com/zixly/sweepline/shared/job"
)

// getSurface answers with what maps of a completed job are drawn from, which is a
// thousandth of its rows. To read and write that of many rows is a large read as well.
func (s *Service) getSurface(w http.ResponseWriter, r *http.Request) {
	j, err := s.Find(r.Context(), r.PathValue("id"))
	if err != nil {
		AnswerMissing(w, err)
		return
	}
	if j.Status != job.Completed {
		function.WriteNotFound(w, "surface")
		return
	}
	release, err := s.takeRows(r.Context(), j.Job)
	if err != nil {
		answerUnread(w, r, err)
		return
	}
	defer release()
	surface, ok, err := heatmap.Read(r.Context(), s.Store, j.Job, func() error { return nil })
	switch {
	case err != nil:
		answerUnread(w, r, err)
	case !ok:
		function.WriteNotFound(w, "surface")
	default:
		surface.Top = nil // which messages need; the rows are at results
		function.WriteJSON(w, http.StatusOK, surface)
	}
}
