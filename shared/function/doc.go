// Package function runs one function: it stands around every step, between the
// network and the step's Handle. Functions keep the signatures that Knative's
// func CLI knows, so that it can run them on its own runtime (func-go); our mains run
// them on a plain http.Server, with what a production process needs: configuration
// errors that name the variable, bounded requests, health and metrics, outcomes turned
// into status codes, panics caught, and an orderly end. One test holds both to the
// same answers. Package sink is the way out.
//
// The same Handler serves in a cluster, in a process of its own and in the
// local runner.
package function
