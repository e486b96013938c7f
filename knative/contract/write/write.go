// Package write makes the contract that package contract reads: the controller's
// side of it, in Knative's own types.
package write

import (
	"bytes"
	"fmt"
	"maps"
	"strconv"

	eventingv1 "knative.dev/eventing/pkg/apis/eventing/v1"
	"sigs.k8s.io/yaml"

	"github.com/zixly/sweepline/knative/contract"
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
	// Access is nil where the cluster asks for no identities.
	Access *contract.Access
}

// Encode gives the data of the ConfigMap.
func (c Contract) Encode() (map[string]string, error) {
	data := map[string]string{contract.GenerationFile: strconv.FormatInt(c.Generation, 10)}
	if c.Purge != "" {
		data[contract.PurgeFile] = c.Purge
	}
	if c.Broker != nil {
		text, err := yaml.Marshal(c.Broker)
		if err != nil {
			return nil, fmt.Errorf("encode broker: %w", err)
		}
		data[contract.BrokerFile] = string(text)
	}
	if c.Access != nil {
		text, err := c.Access.Encode()
		if err != nil {
			return nil, err
		}
		data[contract.AccessFile] = text
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
		data[contract.TriggersFile] = all.String()
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
	if c.Generation, err = strconv.ParseInt(data[contract.GenerationFile], 10, 64); err != nil {
		return c, fmt.Errorf("decode generation: %w", err)
	}
	c.Purge = data[contract.PurgeFile]
	if text := data[contract.BrokerFile]; text != "" {
		c.Broker = &eventingv1.Broker{}
		if err := yaml.UnmarshalStrict([]byte(text), c.Broker); err != nil {
			return c, fmt.Errorf("decode broker: %w", err)
		}
	}
	if text := data[contract.AccessFile]; text != "" {
		if c.Access, err = contract.DecodeAccess([]byte(text)); err != nil {
			return c, err
		}
	}
	// Only at the beginning of a line: an indented one is part of some text.
	for _, text := range bytes.Split([]byte("\n"+data[contract.TriggersFile]), []byte("\n---\n")) {
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

// Same reports whether two contracts say the same, whatever their generations.
func Same(a, b Contract) bool {
	a.Generation, b.Generation = 0, 0
	x, errA := a.Encode()
	y, errB := b.Encode()
	return errA == nil && errB == nil && maps.Equal(x, y)
}
