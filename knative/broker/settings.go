package broker

import (
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	dataplane "github.com/zixly/sweepline/shared/broker"
)

// Settings are what a Broker's spec.config, a ConfigMap, says about its data
// plane. Its keys:
//
//	redis-secret         name of a Secret in the Broker's namespace; required
//	redis-secret-key     its key that holds the Redis URL; REDIS_URL
//	tls-secret           name of a Secret of type kubernetes.io/tls, of the Broker's
//	                     namespace, for the ingress's host name; none: no https
//	ca-certs             certificates, as PEM, that vouch for it: part of the
//	                     Broker's address; none: senders trust it already
//	ca-certs-from        name of a ConfigMap of the Broker's namespace that has them in
//	                     its key ca.crt, in the place of ca-certs
//	transport-encryption "strict": https alone, also where the cluster asks for none
//	ingress-replicas     2
//	dispatcher-replicas  2; "autoscaled" leaves the number to an autoscaler
//	pod                  YAML, merged into the template of both roles' pods: labels,
//	                     annotations, resources and scheduling (podAllowed)
//	BROKER_…             the data plane's own settings, as in shared/broker.Config
//	OTEL_…               where traces go: traceVariables
type Settings struct {
	RedisSecret corev1.SecretKeySelector
	TLSSecret   string
	CACerts     *string
	// CACertsFrom is the ConfigMap that CACerts are to be read from; "": none.
	CACertsFrom string
	// Strict leaves https alone, whatever the cluster's flag.
	Strict             bool
	IngressReplicas    *int32
	DispatcherReplicas *int32 // nil: not ours to set
	// Pod is a strategic merge patch of a PodTemplateSpec, as JSON; nil: none.
	Pod []byte
	// Env holds the BROKER_ variables, sorted by name.
	Env []corev1.EnvVar
}

const (
	autoscaled = "autoscaled"
	strict     = "strict"
	// caKey is where cert-manager puts it, too.
	caKey = "ca.crt"
)

// readSettings names every wrong key at once.
func readSettings(data map[string]string) (Settings, error) {
	s := Settings{RedisSecret: corev1.SecretKeySelector{Key: "REDIS_URL"}}
	known := variables()
	var errs []error
	two := int32(2)
	s.IngressReplicas, s.DispatcherReplicas = &two, &two
	for key, value := range data {
		var err error
		switch key {
		case "redis-secret":
			s.RedisSecret.Name = value
		case "redis-secret-key":
			s.RedisSecret.Key = value
		case "tls-secret":
			s.TLSSecret = value
		case "ca-certs":
			s.CACerts, err = certificates(value)
		case "ca-certs-from":
			s.CACertsFrom = value
		case "transport-encryption":
			if s.Strict = value == strict; !s.Strict {
				err = errors.New("may only be " + strict)
			}
		case "ingress-replicas":
			s.IngressReplicas, err = replicas(value)
		case "dispatcher-replicas":
			if s.DispatcherReplicas = nil; value != autoscaled {
				s.DispatcherReplicas, err = replicas(value)
			}
		case "pod":
			s.Pod, err = podPatch(value)
		default:
			kind, ok := known[key]
			if !ok {
				err = errors.New("unknown setting of this class")
			} else if err = parses(value, kind); err == nil {
				s.Env = append(s.Env, corev1.EnvVar{Name: key, Value: value})
			}
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", key, err))
		}
	}
	if (s.CACerts != nil || s.CACertsFrom != "") && s.TLSSecret == "" {
		errs = append(errs, errors.New("ca-certs: vouch for nothing without tls-secret"))
	}
	if s.CACerts != nil && s.CACertsFrom != "" {
		errs = append(errs, errors.New("ca-certs-from: must not stand beside ca-certs"))
	}
	if s.Strict && s.TLSSecret == "" {
		errs = append(errs, errors.New("transport-encryption: needs tls-secret"))
	}
	if s.RedisSecret.Name == "" {
		errs = append(errs, errors.New("redis-secret: must name a Secret with the Redis URL"))
	}
	sort.Slice(s.Env, func(i, j int) bool { return s.Env[i].Name < s.Env[j].Name })
	sort.Slice(errs, func(i, j int) bool { return errs[i].Error() < errs[j].Error() })
	return s, join(errs)
}

func replicas(value string) (*int32, error) {
	n, err := strconv.ParseInt(value, 10, 32)
	if err != nil || n < 0 {
		return nil, errors.New("must be a number of replicas")
	}
	v := int32(n)
	return &v, nil
}

func certificates(value string) (*string, error) {
	if !x509.NewCertPool().AppendCertsFromPEM([]byte(value)) {
		return nil, errors.New("holds no certificate as PEM")
	}
	return &value, nil
}

// podAllowed is what the patch may hold: how much, where, and what the pods are
// called. All else would lend the controller's rights to whoever edits the
// ConfigMap: host folders, other accounts, Secrets and images are not theirs to
// give.
var podAllowed = allowed{
	"metadata": allowed{"labels": nil, "annotations": nil},
	"spec": allowed{
		"affinity": nil, "nodeSelector": nil, "priorityClassName": nil, "tolerations": nil, "topologySpreadConstraints": nil,
		"containers": allowed{"name": nil, "resources": allowed{"requests": nil, "limits": nil}},
	},
}

// allowed is a field's fields; nil allows all below it.
type allowed map[string]allowed

// beyond names the fields of node that are not allowed. An element of a list is
// looked at as if it stood alone. Directives of a strategic merge ($patch) are
// fields like others, and names are compared to the letter.
func (a allowed) beyond(at string, node any) (found []string) {
	switch n := node.(type) {
	case map[string]any:
		for name, below := range n {
			next, ok := a[name]
			path := strings.TrimPrefix(at+"."+name, ".")
			switch {
			case !ok:
				found = append(found, path)
			case next != nil:
				found = append(found, next.beyond(path, below)...)
			default:
				found = append(found, directives(path, below)...)
			}
		}
	case []any:
		for _, element := range n {
			found = append(found, a.beyond(at, element)...)
		}
	}
	return found
}

// directives names what in node would be taken for an instruction of a strategic
// merge: with one, what we have set could be removed.
func directives(at string, node any) (found []string) {
	switch n := node.(type) {
	case map[string]any:
		for name, below := range n {
			if strings.HasPrefix(name, "$") {
				found = append(found, at+"."+name)
				continue
			}
			found = append(found, directives(at+"."+name, below)...)
		}
	case []any:
		for _, element := range n {
			found = append(found, directives(at, element)...)
		}
	}
	return found
}

// podPatch reads the patch and names every field that it may not hold.
func podPatch(value string) ([]byte, error) {
	var pod corev1.PodTemplateSpec
	if err := yaml.UnmarshalStrict([]byte(value), &pod); err != nil {
		return nil, errors.New("must be a pod template") // the parser repeats values
	}
	var raw map[string]any
	if err := yaml.Unmarshal([]byte(value), &raw); err != nil {
		return nil, errors.New("must be a pod template")
	}
	found := podAllowed.beyond("", raw)
	for name := range pod.Labels {
		if ownLabel(name) {
			found = append(found, "metadata.labels."+name)
		}
	}
	for name := range pod.Annotations {
		if ownAnnotation(name) {
			found = append(found, "metadata.annotations."+name)
		}
	}
	for _, c := range pod.Spec.Containers {
		if c.Name != containerName {
			found = append(found, "spec.containers (only "+containerName+" is there)")
		}
	}
	if len(found) > 0 {
		sort.Strings(found)
		return nil, fmt.Errorf("may not set %s (only labels, annotations, resources and what is about scheduling)", strings.Join(slices.Compact(found), ", "))
	}
	return json.Marshal(raw)
}

// ownLabel reports whether Services, policies and the controller know pods by a
// label.
func ownLabel(name string) bool {
	domain, _, _ := strings.Cut(name, "/")
	return domain == "app.kubernetes.io" || domain == "sweepline.dev" || strings.HasSuffix(domain, "knative.dev") || name == "pod-template-hash"
}

// ownAnnotation reports whether an annotation is the controller's, or one by which
// a runtime loosens a pod's confinement (AppArmor, seccomp).
func ownAnnotation(name string) bool {
	domain, _, _ := strings.Cut(name, "/")
	return domain == "sweepline.dev" || strings.Contains(domain, "security.") && strings.HasSuffix(domain, "kubernetes.io")
}

// traceVariables say where traces go: shared/telemetry, and OpenTelemetry's SDK.
var traceVariables = []string{
	"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_COMPRESSION", "OTEL_EXPORTER_OTLP_TIMEOUT",
	"OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG", "OTEL_RESOURCE_ATTRIBUTES",
}

// variables are the environment variables of the data plane's Config.
func variables() map[string]reflect.Type {
	known := make(map[string]reflect.Type)
	for _, name := range traceVariables {
		known[name] = reflect.TypeFor[string]()
	}
	for f := range reflect.TypeFor[dataplane.Config]().Fields() {
		if name := f.Tag.Get("envconfig"); name != "" {
			known[name] = f.Type
		}
	}
	return known
}

// parses reports what would keep the data plane from starting. It does not repeat
// the value: conditions are read by more people than ConfigMaps.
func parses(value string, kind reflect.Type) error {
	var err error
	switch {
	case kind == reflect.TypeFor[time.Duration]():
		_, err = time.ParseDuration(value)
	case kind.Kind() == reflect.String:
	case kind.Kind() == reflect.Bool:
		_, err = strconv.ParseBool(value)
	default:
		_, err = strconv.ParseInt(value, 10, 64)
	}
	if err != nil {
		return fmt.Errorf("must be a %s", strings.TrimPrefix(kind.String(), "time."))
	}
	return nil
}

// join is errors.Join on one line, as it is read in a condition's message.
func join(errs []error) error {
	if len(errs) == 0 {
		return nil
	}
	texts := make([]string, len(errs))
	for i, err := range errs {
		texts[i] = err.Error()
	}
	return errors.New(strings.Join(texts, "; "))
}
