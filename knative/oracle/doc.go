// Package oracle compares what the broker reads without Knative, filters and
// manifests, with what Knative's own library makes of the same text. It is tests
// only. Each difference that is on purpose stands in a table, with its reason and
// an example that shows it; any other fails.
package oracle
