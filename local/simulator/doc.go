// Package simulator stands for the outside trading API: the service that the
// submit step calls and that calls back when a sweep has ended. It speaks that
// API's HTTP in both dialects and really computes what it is asked for: every
// valid fast/slow pair of the grid is backtested on daily closes.
//
// It keeps its own JSON types on purpose. Nothing here may be shared with the
// client in shared/trading, or a mistake in one would be hidden by the other.
//
// Dialects. The encoding of the submission chooses how the API answers about
// that sweep, as the two known versions of the service differ in both:
//
//	JSON body  202, status "queued" with parameters and an estimate; times in
//	           RFC 3339 with a zone; webhook body with event_type.
//	form body  200, status "pending" with stream_url and status_url; times
//	           without a zone (UTC); webhook body is the job-status object, its
//	           run id only inside the text of result_data.output.
//
// Config.WebhookDialect and Config.StatusDialect override the last parts.
package simulator
