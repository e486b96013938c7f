package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

const (
	group      = "eventing.knative.dev/"
	apiVersion = group + "v1"
)

// file is one YAML file of the folder.
type file struct {
	name string
	text []byte
}

// readFolder reads the YAML files at the root of fsys, in the order of their names.
func readFolder(fsys fs.FS) ([]file, error) {
	entries, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return nil, fmt.Errorf("read configuration folder: %w", err)
	}
	var files []file
	for _, e := range entries {
		ext := path.Ext(e.Name())
		// Mounted ConfigMaps keep their versions in hidden folders.
		if e.IsDir() || strings.HasPrefix(e.Name(), ".") || (ext != ".yaml" && ext != ".yml") {
			continue
		}
		text, err := fs.ReadFile(fsys, e.Name())
		if err != nil {
			return nil, fmt.Errorf("read configuration: %w", err)
		}
		files = append(files, file{e.Name(), text})
	}
	return files, nil
}

// object is a Broker or a Trigger as it was read.
type object struct {
	file string
	// One of the two is set, as far as it could be read.
	broker  *Broker
	trigger *Trigger
	// problem is what could not be read of it.
	problem error
}

// parse gives the Brokers and Triggers of a file. The error is of documents whose
// objects are not known: they may be Brokers and Triggers.
func (f file) parse() ([]object, error) {
	var objects []object
	var errs []error
	for i, text := range documents(f.text) {
		found, err := f.parseDocument(text)
		objects = append(objects, found...)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: document %d: %w", f.name, i+1, err))
		}
	}
	return objects, errors.Join(errs...)
}

// documents cuts a file where YAML says that a document ends. Nothing else than a
// marker can stand at the beginning of a line there.
func documents(text []byte) [][]byte {
	var all [][]byte
	var current []byte
	for line := range bytes.Lines(text) {
		trimmed := bytes.TrimRight(line, " \t\r\n")
		switch {
		case bytes.Equal(trimmed, []byte("...")), bytes.Equal(trimmed, []byte("---")):
			all, current = append(all, current), nil
		case bytes.HasPrefix(line, []byte("--- ")), bytes.HasPrefix(line, []byte("---\t")):
			all, current = append(all, current), append([]byte("   "), line[3:]...)
		default:
			current = append(current, line...)
		}
	}
	return append(all, current)
}

func (f file) parseDocument(text []byte) ([]object, error) {
	strict, err := yaml.YAMLToJSONStrict(text)
	if err == nil {
		return f.parseObject(strict, nil)
	}
	// A field that stands there twice is no reason not to know whose it is.
	lax, laxErr := yaml.YAMLToJSON(text)
	if laxErr != nil {
		return nil, err
	}
	objects, laxErr := f.parseObject(lax, err)
	if laxErr != nil {
		return nil, err
	}
	return objects, nil
}

// head is what every object of Kubernetes begins with.
type head struct {
	APIVersion string            `json:"apiVersion"`
	Kind       string            `json:"kind"`
	Items      []json.RawMessage `json:"items"`
}

func (f file) parseObject(text []byte, problem error) ([]object, error) {
	if string(text) == "null" {
		return nil, nil // only comments
	}
	var h head
	if err := json.Unmarshal(text, &h); err != nil {
		return nil, fmt.Errorf("must be an object of Kubernetes: %w", plain(err))
	}
	switch {
	case h.APIVersion == "v1" && h.Kind == "List": // kubectl get -o yaml
		var objects []object
		var errs []error
		for i, item := range h.Items {
			found, err := f.parseObject(item, problem)
			objects = append(objects, found...)
			if err != nil {
				errs = append(errs, fmt.Errorf("items[%d]: %w", i, err))
			}
		}
		return objects, errors.Join(errs...)
	case !strings.HasPrefix(h.APIVersion, group) || (h.Kind != "Broker" && h.Kind != "Trigger"):
		return nil, nil
	case h.APIVersion != apiVersion:
		return nil, fmt.Errorf("%s of apiVersion %s: only %s is read", h.Kind, h.APIVersion, apiVersion)
	}
	o := object{file: f.name}
	if h.Kind == "Broker" {
		o.broker = new(Broker)
		o.problem = decode(text, o.broker, brokerFields)
	} else {
		o.trigger = new(Trigger)
		o.problem = decode(text, o.trigger, triggerFields)
	}
	o.problem = errors.Join(problem, o.problem)
	return []object{o}, nil
}

// ReadTrigger reads one Trigger, as JSON or YAML.
func ReadTrigger(text []byte) (*Trigger, error) {
	var t Trigger
	return &t, read(text, &t, triggerFields)
}

// ReadBroker reads one Broker, as JSON or YAML.
func ReadBroker(text []byte) (*Broker, error) {
	var b Broker
	return &b, read(text, &b, brokerFields)
}

// toJSON reads YAML, in which no field may stand twice.
func toJSON(text []byte) ([]byte, error) { return yaml.YAMLToJSONStrict(text) }

func read(text []byte, into any, known fields) error {
	text, err := toJSON(text)
	if err != nil {
		return err
	}
	return decode(text, into, known)
}

// decode reads JSON as far as it goes: the error names every field that is unknown
// and the first that is of another type. Numbers and booleans in the place of
// strings are taken for their text, as YAML is written without quotes.
func decode(text []byte, into any, known fields) error {
	var tree any
	if err := json.Unmarshal(text, &tree); err != nil {
		return err
	}
	return errors.Join(append(unknown(tree, known, ""), plain(yaml.Unmarshal(text, into)))...)
}

// unknown names the fields that nobody would read. Unlike encoding/json it tells
// capitals from small letters, as Kubernetes does.
func unknown(value any, known fields, at string) []error {
	object, ok := value.(map[string]any)
	if !ok || known == nil {
		return nil // of the type speaks the decoder
	}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(object)) {
		below, ok := known[name]
		if !ok {
			errs = append(errs, fmt.Errorf("%s%s: unknown field", at, name))
			continue
		}
		errs = append(errs, unknown(object[name], below, at+name+".")...)
	}
	return errs
}

// plain says what encoding/json does by the field and without its Go type.
func plain(err error) error {
	var wrong *json.UnmarshalTypeError
	if !errors.As(err, &wrong) {
		return err
	}
	if wrong.Field == "" {
		return fmt.Errorf("must be an object, not a %s", wrong.Value)
	}
	return fmt.Errorf("%s: must not be a %s", wrong.Field, wrong.Value)
}
