package function

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"

	"github.com/kelseyhightower/envconfig"
)

// listener is where a function's process listens, and how it talks.
type listener struct {
	// Address wins over Port.
	Address string `envconfig:"LISTEN_ADDRESS"`
	// Port is listened on at loopback, or on all interfaces in a cluster.
	Port uint16 `envconfig:"PORT" default:"8080"`
	// LogLevel is debug, info, warn or error.
	LogLevel string `envconfig:"LOG_LEVEL" default:"info"`
	// Service and Cluster tell that we run in a cluster: Knative sets the one,
	// Kubernetes the other.
	Service string `envconfig:"K_SERVICE"`
	Cluster string `envconfig:"KUBERNETES_SERVICE_HOST"`
}

// address is what func-go is told: on a laptop nobody else can reach the
// function, in a pod everybody must.
func (l listener) address() string {
	switch {
	case l.Address != "":
		return l.Address
	case l.Service != "" || l.Cluster != "":
		return fmt.Sprintf("[::]:%d", l.Port)
	default:
		return fmt.Sprintf("127.0.0.1:%d", l.Port)
	}
}

// Load fills structs with envconfig tags from the environment. Its error joins
// all that is missing, or names the variable that cannot be read; it never
// holds a value. A required variable that is set but empty counts as missing.
func Load(configs ...any) error {
	var errs []error
	for _, c := range configs {
		names := map[string]string{}
		missing := inspect(reflect.ValueOf(c).Elem().Type(), names)
		if len(missing) > 0 {
			errs = append(errs, missing...)
			continue
		}
		errs = append(errs, explain(envconfig.Process("", c), names))
	}
	return errors.Join(errs...)
}

// inspect collects the variable of each field by the field's name, and what is
// required but missing.
func inspect(t reflect.Type, names map[string]string) (missing []error) {
	for f := range t.Fields() {
		name := f.Tag.Get("envconfig")
		if !f.IsExported() || f.Tag.Get("ignored") == "true" {
			continue
		}
		if name == "" {
			if f.Type.Kind() == reflect.Struct {
				missing = append(missing, inspect(f.Type, names)...)
			}
			continue
		}
		names[f.Name] = name
		//nolint:forbidigo // this is what reads Config structs
		if f.Tag.Get("required") == "true" && os.Getenv(name) == "" {
			missing = append(missing, fmt.Errorf("%s is required", name))
		}
	}
	return missing
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
