// Package trading is the client of the outside trading API, and the reading and
// checking of what that API sends back. The submit step starts sweeps through
// it, the supervisor polls, cancels and looks for sweeps whose answer was lost,
// the collect step reads the rows, and the callback step parses and verifies the
// webhook.
//
// The API exists in two dialects: the client sends JSON or forms as it is
// configured, and understands either answer whatever it has sent. It retries
// nothing: its callers have queues, deadlines and a budget of requests, and
// [Error] tells them what they need to decide.
package trading
