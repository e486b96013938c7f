package manifest

import (
	"encoding/json"
)

// Broker is what is read of a Broker.
type Broker struct {
	Metadata Metadata   `json:"metadata"`
	Spec     BrokerSpec `json:"spec"`
}

// BrokerSpec holds no config: it says how a cluster runs the Broker.
type BrokerSpec struct {
	// Delivery is the default of Triggers without one of their own.
	Delivery *Delivery `json:"delivery"`
}

// Trigger is what is read of a Trigger.
type Trigger struct {
	Metadata Metadata    `json:"metadata"`
	Spec     TriggerSpec `json:"spec"`
	// Status is a cluster's: who the Trigger's deliveries come from.
	Status struct {
		Auth struct {
			ServiceAccountName string `json:"serviceAccountName"`
		} `json:"auth"`
	} `json:"status"`
}

// TriggerSpec names its Broker by Broker or BrokerRef.
type TriggerSpec struct {
	Broker    string     `json:"broker"`
	BrokerRef *Reference `json:"brokerRef"`
	Filter    struct {
		Attributes json.RawMessage `json:"attributes"`
	} `json:"filter"`
	// Filters win over Filter where there are any.
	Filters    json.RawMessage `json:"filters"`
	Subscriber Destination     `json:"subscriber"`
	Delivery   *Delivery       `json:"delivery"`
}

// Metadata may hold all that Kubernetes writes there.
type Metadata struct {
	Namespace   string            `json:"namespace"`
	Name        string            `json:"name"`
	Annotations map[string]string `json:"annotations"`
}

// Destination is a URL, or an object that has one.
type Destination struct {
	Ref     *Reference `json:"ref"`
	URI     *string    `json:"uri"`
	CACerts *string    `json:"CACerts"`
	// Audience is what a token for it names.
	Audience string `json:"audience"`
}

// Reference names an object.
type Reference struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Namespace  string `json:"namespace"`
	Name       string `json:"name"`
	Group      string `json:"group"`
}

// Delivery is Knative's DeliverySpec. Durations are ISO 8601.
type Delivery struct {
	DeadLetterSink *Destination `json:"deadLetterSink"`
	Retry          *int32       `json:"retry"`
	Timeout        *string      `json:"timeout"`
	BackoffPolicy  *string      `json:"backoffPolicy"`
	BackoffDelay   *string      `json:"backoffDelay"`
	RetryAfterMax  *string      `json:"retryAfterMax"`
	Format         *string      `json:"format"`
}

// fields are the names that an object may have, each with those below it. Below
// nil anything may stand.
type fields map[string]fields

var (
	reference   = fields{"apiVersion": nil, "kind": nil, "namespace": nil, "name": nil, "group": nil, "address": nil}
	destination = fields{"ref": reference, "uri": nil, "CACerts": nil, "audience": nil}
	delivery    = fields{
		"deadLetterSink": destination, "retry": nil, "timeout": nil, "backoffPolicy": nil, "backoffDelay": nil,
		"retryAfterMax": nil, "format": nil,
	}
	metadata = fields{
		"name": nil, "generateName": nil, "namespace": nil, "selfLink": nil, "uid": nil, "resourceVersion": nil, "generation": nil,
		"creationTimestamp": nil, "deletionTimestamp": nil, "deletionGracePeriodSeconds": nil, "labels": nil, "annotations": nil,
		"ownerReferences": nil, "finalizers": nil, "managedFields": nil,
	}
	brokerFields = fields{
		"apiVersion": nil, "kind": nil, "status": nil, "metadata": metadata,
		"spec": {"config": reference, "delivery": delivery},
	}
	triggerFields = fields{
		"apiVersion": nil, "kind": nil, "status": nil, "metadata": metadata,
		"spec": {
			"broker": nil, "brokerRef": reference, "filter": {"attributes": nil}, "filters": nil,
			"subscriber": destination, "delivery": delivery,
		},
	}
)
