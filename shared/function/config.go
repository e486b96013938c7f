package function

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"

	"github.com/kelseyhightower/envconfig"
)

// metricsPort is the one of exporters of metrics in general.
const metricsPort = 9464

// listener is where a function's process listens, and how it talks.
type listener struct {
	// Address is where to listen, as host:port. It wins over Port.
	Address string `envconfig:"LISTEN_ADDRESS"`
	// Port is the port to listen on: of loopback, in a cluster of all interfaces.
	Port uint16 `envconfig:"PORT" default:"8080"`
	// MetricsPort serves /metrics and health. It must not be the port of the function,
	// which may be public. 0 is none; unset it is 9464 in a cluster and none elsewhere.
	// (Not 9090 and 9091: there Knative's queue-proxy listens in the same pod.)
	MetricsPort *uint16 `envconfig:"METRICS_PORT"`
	// LogLevel is the least level that is logged: debug, info, warn or error.
	LogLevel string `envconfig:"LOG_LEVEL" default:"info"`
	// Service is set by Knative in every pod. A process that has it runs in a cluster.
	Service string `envconfig:"K_SERVICE"`
	// Cluster is set by Kubernetes in every pod. A process that has it runs in a cluster.
	Cluster string `envconfig:"KUBERNETES_SERVICE_HOST"`
}

// address is where to listen: on a laptop nobody else can reach the
// function, in a pod everybody must.
func (l listener) address() string {
	if l.Address != "" {
		return l.Address
	}
	return l.at(l.Port)
}

// metricsAddress is where metrics are shown, empty where they are not.
func (l listener) metricsAddress() string {
	switch {
	case l.MetricsPort == nil && l.inCluster():
		return l.at(metricsPort)
	case l.MetricsPort == nil || *l.MetricsPort == 0:
		return ""
	default:
		return l.at(*l.MetricsPort)
	}
}

func (l listener) inCluster() bool { return l.Service != "" || l.Cluster != "" }

func (l listener) at(port uint16) string {
	if l.inCluster() {
		return fmt.Sprintf("[::]:%d", port)
	}
	return fmt.Sprintf("127.0.0.1:%d", port)
}

// Load fills structs from the environment: each field names its variable by a tag, or is
// tagged ignored:"true"; it panics where one is neither. Its error joins
// all that is missing, or names the variable that cannot be read; it never
// holds a value. A variable whose tag says required:"nonempty" is missing where it
// is set but empty, too.
func Load(configs ...any) error { return LoadWith(nil, configs...) }

// LoadWith is Load with set, by the variable's name, in place of what the
// environment says: addresses that only the caller knows. They are text.
func LoadWith(set map[string]string, configs ...any) error {
	var errs []error
	for _, c := range configs {
		l := loading{set: set, names: map[string]string{}}
		err := envconfig.Process("", c)
		l.visit(reflect.ValueOf(c).Elem())
		errs = append(errs, l.missing...)
		if len(l.missing) == 0 {
			errs = append(errs, explain(err, l.names))
		}
	}
	return errors.Join(errs...)
}

// loading is one struct that Load fills.
type loading struct {
	set map[string]string
	// names has each field's variable.
	names   map[string]string
	missing []error
}

// visit sets what is given, and collects names and what is required but missing.
func (l *loading) visit(v reflect.Value) {
	for i := range v.NumField() {
		f, field := v.Type().Field(i), v.Field(i)
		if !f.IsExported() || f.Tag.Get("ignored") == "true" {
			continue
		}
		name := f.Tag.Get("envconfig")
		switch given, ok := l.set[name]; {
		case name == "" && f.Type.Kind() == reflect.Struct:
			l.visit(field)
			continue
		case name == "":
			// envconfig would read the variable of the field's bare name: PORT, say.
			panic(fmt.Sprintf("function.Load: field %s of %s has neither a variable (envconfig) nor ignored:\"true\"", f.Name, v.Type()))
		case ok:
			field.SetString(given)
		}
		l.names[f.Name] = name
		//nolint:forbidigo // this is what reads Config structs
		if f.Tag.Get("required") == "nonempty" && l.set[name] == "" && os.Getenv(name) == "" {
			l.missing = append(l.missing, fmt.Errorf("%s is required", name))
		}
	}
}

// explain drops the value, and the parser's words which repeat it.
func explain(err error, names map[string]string) error {
	var p *envconfig.ParseError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &p):
		name := names[p.FieldName]
		if name == "" {
			name = p.KeyName
		}
		return fmt.Errorf("%s is not a valid %s", name, strings.TrimPrefix(p.TypeName, "time."))
	default:
		return errors.New("read configuration: " + err.Error()) // names a key or a wrong struct, never a value
	}
}
