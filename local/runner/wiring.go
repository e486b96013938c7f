package runner

import (
	"fmt"
	"io/fs"

	"github.com/zixly/sweepline/knative/config"
	"github.com/zixly/sweepline/shared/broker"
	brokerconfig "github.com/zixly/sweepline/shared/broker/config"
)

// wiring reads the pipeline's Broker and Triggers and puts the loopback URLs of
// our steps where the manifests name Knative Services.
func wiring(steps []*step) (broker.Set, error) {
	files, err := fs.Sub(config.Pipeline, "base")
	if err != nil {
		return broker.Set{}, fmt.Errorf("find manifests: %w", err)
	}
	return brokerconfig.Load(files, brokerconfig.Options{Resolve: func(ref brokerconfig.Ref) (string, error) {
		for _, s := range steps {
			if ref.Kind == "Service" && ref.Name == s.name {
				// The path tells by name who did not take a dead letter, as the
				// host does on a cluster.
				return s.at.url() + "/" + s.name, nil
			}
		}
		return "", fmt.Errorf("there is no function %s", ref.Name)
	}})
}
