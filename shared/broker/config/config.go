// Package config reads Brokers and Triggers of eventing.knative.dev/v1 from YAML
// into what the broker serves, and takes up changed files while it runs. The
// YAML that sets up a cluster is thereby the wiring of a laptop, too.
package config

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"path"
	"sort"
	"strings"

	k8syaml "k8s.io/apimachinery/pkg/util/yaml"
	eventingv1 "knative.dev/eventing/pkg/apis/eventing/v1"
	"sigs.k8s.io/yaml"

	"github.com/zixly/sweepline/shared/broker"
)

const apiVersion = "eventing.knative.dev/v1"

// classAnnotation says which controller a Broker belongs to.
const classAnnotation = "eventing.knative.dev/broker.class"

// Ref names the Kubernetes object that a Trigger sends to.
type Ref struct {
	APIVersion, Kind, Namespace, Name string
}

func (r Ref) String() string {
	return fmt.Sprintf("%s %s %s/%s", r.APIVersion, r.Kind, r.Namespace, r.Name)
}

// Options say how YAML becomes a Set.
type Options struct {
	// Namespace is that of objects that name none; "default" if empty.
	Namespace string
	// Resolve gives the URL of a subscriber or dead letter sink that is named by
	// ref. Without it, only uri works.
	Resolve func(Ref) (string, error)
	// Class, if set, leaves out Brokers that another class is named on, and
	// their Triggers.
	Class string
}

func (o Options) namespace(ns string) string {
	switch {
	case ns != "":
		return ns
	case o.Namespace != "":
		return o.Namespace
	}
	return "default"
}

// Load reads every *.yaml and *.yml file at the root of fsys, each with any
// number of documents. Documents of other kinds are passed over. All that is
// wrong is reported at once, by file, object and field.
func Load(fsys fs.FS, opts Options) (broker.Set, error) {
	files, err := yamlFiles(fsys)
	if err != nil {
		return broker.Set{}, err
	}
	var objects []object
	var errs []error
	for _, name := range files {
		found, err := readFile(fsys, name)
		if err != nil {
			errs = append(errs, err)
		}
		objects = append(objects, found...)
	}
	set, err := build(objects, opts)
	if err = errors.Join(append(errs, err)...); err != nil {
		return broker.Set{}, fmt.Errorf("read broker configuration: %w", err)
	}
	return set, nil
}

// object is a Broker or a Trigger and the file it stands in.
type object struct {
	file    string
	broker  *eventingv1.Broker
	trigger *eventingv1.Trigger
}

func yamlFiles(fsys fs.FS) ([]string, error) {
	entries, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return nil, fmt.Errorf("read configuration folder: %w", err)
	}
	var files []string
	for _, e := range entries {
		ext := path.Ext(e.Name())
		// Mounted ConfigMaps keep their versions in hidden folders.
		if !e.IsDir() && !strings.HasPrefix(e.Name(), ".") && (ext == ".yaml" || ext == ".yml") {
			files = append(files, e.Name())
		}
	}
	sort.Strings(files)
	return files, nil
}

func readFile(fsys fs.FS, name string) ([]object, error) {
	text, err := fs.ReadFile(fsys, name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	var objects []object
	documents := k8syaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
	for n := 1; ; n++ {
		doc, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return objects, fmt.Errorf("%s: document %d: %w", name, n, err)
		}
		o, err := readDocument(doc)
		if err != nil {
			return objects, fmt.Errorf("%s: document %d: %w", name, n, err)
		}
		if o.broker != nil || o.trigger != nil {
			o.file = name
			objects = append(objects, o)
		}
	}
}

func readDocument(doc []byte) (object, error) {
	var head struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
		Metadata   struct {
			Name string `json:"name"`
		} `json:"metadata"`
	}
	if err := yaml.Unmarshal(doc, &head); err != nil {
		return object{}, err
	}
	if head.APIVersion != apiVersion {
		return object{}, nil
	}
	var o object
	var into any
	switch head.Kind {
	case "Broker":
		o.broker = &eventingv1.Broker{}
		into = o.broker
	case "Trigger":
		o.trigger = &eventingv1.Trigger{}
		into = o.trigger
	default:
		return object{}, nil
	}
	if err := yaml.UnmarshalStrict(doc, into); err != nil {
		return object{}, fmt.Errorf("%s %s: %w", head.Kind, head.Metadata.Name, err)
	}
	return o, nil
}

// checkURI accepts what events can be posted to.
func checkURI(s string) error {
	u, err := url.Parse(s)
	if err != nil {
		return err
	}
	if (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return fmt.Errorf("%q is no absolute http or https URL", s)
	}
	return nil
}
