// Package config embeds the manifests, so that the one wiring of the pipeline
// serves the cluster (kubectl apply -k) and the laptop (the local runner).
package config

import "embed"

// Pipeline holds the Broker and its Triggers under base/.
//
//go:embed base/100-broker.yaml base/200-triggers.yaml
var Pipeline embed.FS
