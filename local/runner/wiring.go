package runner

import (
	"fmt"
	"io/fs"
	"strings"

	"github.com/zixly/sweepline/knative/config"
	"github.com/zixly/sweepline/shared/broker"
	"github.com/zixly/sweepline/shared/broker/manifest"
)

// wiring reads the pipeline's Broker and Triggers and puts the loopback URLs of
// our steps where the manifests name Knative Services.
func wiring(steps []*step) (broker.Set, error) {
	files, err := fs.Sub(config.Pipeline, "base")
	if err != nil {
		return broker.Set{}, fmt.Errorf("find manifests: %w", err)
	}
	set, err := manifest.Load(files, manifest.Options{Resolve: func(ref manifest.Ref) (string, error) {
		for _, s := range steps {
			if ref.Kind == "Service" && ref.Name == s.name {
				// The path tells by name who did not take a dead letter, as the
				// host does on a cluster.
				return s.at.url() + "/" + s.name, nil
			}
		}
		return "", fmt.Errorf("unknown function %s", ref.Name)
	}})
	if err != nil {
		return set, err
	}
	// Ours are all valid, or the pipeline would lack a step.
	problems := set.Problems
	for _, t := range set.Invalid {
		problems = append(problems, fmt.Sprintf("Trigger %s/%s: %s", t.Namespace, t.Name, t.Problem))
	}
	if len(problems) > 0 {
		return set, fmt.Errorf("read manifests: %s", strings.Join(problems, "; "))
	}
	return set, nil
}
