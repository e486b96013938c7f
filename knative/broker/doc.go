// Package broker is the control plane of the Broker class RedisStreams: two
// reconcilers that turn Brokers and Triggers into a data plane and tell it what
// to do.
//
// Where the cluster asks senders who they are (authentication-oidc), the contract also
// says who may post: access.go takes the EventPolicies, issuer.go the keys that tokens
// are signed with. knative/access is the data plane's side of it.
//
// Each Broker has a data plane of its own in its own namespace: an ingress and
// a dispatcher Deployment (knative/cmd/broker), a Service, and one ConfigMap,
// the contract. So the Redis Secret is read where it lives and by nobody but the
// pods that need it, brokers cannot disturb each other, and the controller may
// not read Secrets at all.
//
// The contract is the very YAML that shared/broker/manifest reads on a laptop:
// the Broker and its Triggers, with subscribers and dead letter sinks resolved
// to URIs. It is mounted, not watched: the data plane holds no credentials for
// the API server, and goes on, restarts included, when that is gone. What a mount
// is slow at is made up for by touching the pods, at which kubelet looks again.
//
// A Trigger's way to Ready:
//
//	trigger.go    its ServiceAccount is made, where the cluster wants it; subscriber and dead letter sink are resolved into its status
//	dependency.go what it depends on is ready, or it waits
//	tokens.go     the tokens that its deliveries carry are written into a Secret
//	broker.go     the Broker is reconciled again, its contract.go gets the entry
//	dataplane.go  the pods are touched, mount the new contract, make the group
//	acks.go       and say so at /contract; once all have, the Trigger is Ready
package broker
