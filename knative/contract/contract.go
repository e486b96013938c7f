// Package contract is what the control plane tells a data plane: one Broker and
// its Triggers, every subscriber resolved to a URI, in the YAML that
// shared/broker/config reads on a laptop, too. It travels in a ConfigMap whose
// keys are files where it is mounted.
package contract

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"strconv"

	eventingv1 "knative.dev/eventing/pkg/apis/eventing/v1"
	"sigs.k8s.io/yaml"

	"github.com/zixly/sweepline/shared/broker"
	"github.com/zixly/sweepline/shared/broker/config"
)

// The keys of the ConfigMap, and the files of its mount.
const (
	generationFile = "generation"
	purgeFile      = "purge"
	brokerFile     = "broker.yaml"
	triggersFile   = "triggers.yaml"
)

// Contract is one state of a Broker, to be served as a whole.
type Contract struct {
	// Generation grows with every change, also when the ConfigMap is made anew:
	// a data plane never goes back to a smaller one.
	Generation int64
	// Broker is nil where nothing is to be served any more.
	Broker   *eventingv1.Broker
	Triggers []eventingv1.Trigger
	// Purge, "namespace/name", asks for all that is kept of a deleted Broker to
	// be removed.
	Purge string
}

// Encode gives the data of the ConfigMap.
func (c Contract) Encode() (map[string]string, error) {
	data := map[string]string{generationFile: strconv.FormatInt(c.Generation, 10)}
	if c.Purge != "" {
		data[purgeFile] = c.Purge
	}
	if c.Broker != nil {
		text, err := yaml.Marshal(c.Broker)
		if err != nil {
			return nil, fmt.Errorf("encode broker: %w", err)
		}
		data[brokerFile] = string(text)
	}
	var all bytes.Buffer
	for i := range c.Triggers {
		text, err := yaml.Marshal(c.Triggers[i])
		if err != nil {
			return nil, fmt.Errorf("encode trigger %s: %w", c.Triggers[i].Name, err)
		}
		all.WriteString("---\n")
		all.Write(text)
	}
	if all.Len() > 0 {
		data[triggersFile] = all.String()
	}
	return data, nil
}

// Decode reads what Encode gave. An empty map is an empty Contract.
func Decode(data map[string]string) (Contract, error) {
	var c Contract
	var err error
	if len(data) == 0 {
		return c, nil
	}
	if c.Generation, err = strconv.ParseInt(data[generationFile], 10, 64); err != nil {
		return c, fmt.Errorf("decode generation: %w", err)
	}
	c.Purge = data[purgeFile]
	if text := data[brokerFile]; text != "" {
		c.Broker = &eventingv1.Broker{}
		if err := yaml.UnmarshalStrict([]byte(text), c.Broker); err != nil {
			return c, fmt.Errorf("decode broker: %w", err)
		}
	}
	// Only at the beginning of a line: an indented one is part of some text.
	for _, text := range bytes.Split([]byte("\n"+data[triggersFile]), []byte("\n---\n")) {
		if len(bytes.TrimSpace(text)) == 0 {
			continue
		}
		var t eventingv1.Trigger
		if err := yaml.UnmarshalStrict(text, &t); err != nil {
			return c, fmt.Errorf("decode trigger: %w", err)
		}
		c.Triggers = append(c.Triggers, t)
	}
	return c, nil
}

// Served is a Contract as the data plane uses it.
type Served struct {
	Generation int64
	// Broker is "namespace/name", of Set or Purge.
	Broker string
	Purge  string
	Set    broker.Set
}

// Read reads the mounted files of one Contract.
func Read(fsys fs.FS) (Served, error) {
	var s Served
	var err error
	if s.Generation, err = Generation(fsys); err != nil {
		return s, err
	}
	if text, err := fs.ReadFile(fsys, purgeFile); err == nil {
		s.Purge = string(bytes.TrimSpace(text))
	}
	if s.Set, err = config.Load(fsys, config.Options{}); err != nil {
		return s, fmt.Errorf("read contract: %w", err)
	}
	s.Broker = s.Purge
	for _, b := range s.Set.Brokers {
		s.Broker = b.String()
	}
	return s, nil
}

// Same reports whether two contracts say the same, whatever their generations.
func Same(a, b Contract) bool {
	a.Generation, b.Generation = 0, 0
	x, errA := a.Encode()
	y, errB := b.Encode()
	return errA == nil && errB == nil && maps.Equal(x, y)
}

// Generation reads the generation of a mounted Contract, to see whether it has
// changed.
func Generation(fsys fs.FS) (int64, error) {
	text, err := fs.ReadFile(fsys, generationFile)
	if err != nil {
		return 0, fmt.Errorf("read contract: %w", err)
	}
	g, err := strconv.ParseInt(string(bytes.TrimSpace(text)), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("read contract: generation: %w", err)
	}
	return g, nil
}
