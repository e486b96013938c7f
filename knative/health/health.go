// Package health is what a process of the data plane says of itself to the control
// plane, beside its probes.
package health

// Path is where the admin port answers with a Status, at once and always with 200.
const Path = "/status"

// What a process lacks.
const (
	OK         = "ok"
	Stopping   = "stopping"
	NoRedis    = "missing: redis"
	NoContract = "missing: contract"
)

// Status is the answer, as JSON.
type Status struct {
	// Status is one of the constants.
	Status string `json:"status"`
	// Reason is why, as text for people, without credentials; empty where nobody knows.
	Reason string `json:"reason,omitempty"`
}
