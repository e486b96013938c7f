// Package function runs one function: it stands around every step, between the
// network and the step's Handle. Functions keep the signatures that Knative's
// func CLI knows, and start through its Go runtime (func-go); this package adds what
// a production process needs on top: configuration errors that name the
// variable, bounded requests, health and metrics, outcomes turned into status
// codes, panics caught, and an orderly end. Package sink is the
// way out.
//
// The same Handler serves in a cluster, in a process of its own and in the
// local runner.
package function
