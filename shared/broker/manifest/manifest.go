// Package manifest reads Brokers and Triggers of eventing.knative.dev/v1 from YAML
// into what the broker serves, and follows the files while it runs. The YAML that
// sets up a cluster is thereby the wiring of a laptop, too. It knows the fields
// that are used and nothing else of Kubernetes; a test in knative/oracle compares
// it with Knative's own types.
//
//	manifest.go  what is read
//	read.go      files and documents; types.go, the fields; duration.go, ISO 8601
//	build.go     a set for the broker, with all that is wrong
//	ping.go      PingSources
//	watch.go     loop: follows the files
package manifest

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/zixly/sweepline/shared/broker"
)

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
	// Grace is how long Watch keeps a Broker or Trigger that is no longer defined;
	// a minute if 0.
	Grace time.Duration
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

// Load reads every *.yaml and *.yml file at the root of fsys, each with any number
// of documents, and Lists of objects in them. Objects of other kinds are passed
// over.
//
// What is wrong stands alone. An invalid Trigger is in Set.Invalid, what is wrong
// with a Broker or a file is in Set.Problems, each by file, object and field, and
// the rest is served. A Broker that is wrong is in the set all the same: only
// Triggers that need its delivery are invalid. Set.Partial says that a document
// could not be read at all, or that there was no Broker and no Trigger. An error is returned only where nothing could be read.
func Load(fsys fs.FS, opts Options) (broker.Set, error) {
	files, err := readFolder(fsys)
	if err != nil {
		return broker.Set{}, err
	}
	var objects []object
	var unreadable []error
	for _, f := range files {
		found, err := f.parse()
		objects = append(objects, found...)
		if err != nil {
			unreadable = append(unreadable, err)
		}
	}
	if len(objects) == 0 && len(unreadable) > 0 {
		return broker.Set{}, fmt.Errorf("read broker configuration: %w", errors.Join(unreadable...))
	}
	return build(objects, unreadable, opts), nil
}

// Brokers reads the names of the Brokers in one YAML or JSON text, of whatever class
// and however wrong otherwise. A document that cannot be read is an error: it may name
// some.
func Brokers(text []byte, opts Options) ([]broker.Broker, error) {
	objects, err := file{name: "Brokers", text: text}.parse()
	if err != nil {
		return nil, err
	}
	var out []broker.Broker
	for _, o := range objects {
		if o.broker == nil {
			continue
		}
		b := broker.Broker{Namespace: opts.namespace(o.broker.Metadata.Namespace), Name: o.broker.Metadata.Name}
		if err := b.Validate(); err != nil {
			return nil, fmt.Errorf("Broker %s: %w", b, err)
		}
		out = append(out, b)
	}
	return out, nil
}
