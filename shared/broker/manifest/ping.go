package manifest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
)

// PingSource is what is read of a PingSource of sources.knative.dev/v1: on a laptop its
// sink is ours, whatever it says.
type PingSource struct {
	Metadata Metadata       `json:"metadata"`
	Spec     PingSourceSpec `json:"spec"`

	// File is where it stands.
	File string `json:"-"`
}

// PingSourceSpec says when to send what.
type PingSourceSpec struct {
	Schedule    string `json:"schedule"`
	Timezone    string `json:"timezone"`
	ContentType string `json:"contentType"`
	Data        string `json:"data"`
	DataBase64  string `json:"dataBase64"`
}

var pingFields = fields{
	"apiVersion": nil, "kind": nil, "status": nil, "metadata": metadata,
	"spec": {
		"schedule": nil, "timezone": nil, "contentType": nil, "data": nil, "dataBase64": nil, "sink": destination,
		"ceOverrides": {"extensions": nil},
	},
}

// PingSources reads those of every *.yaml and *.yml file at the root of fsys. Objects of
// other kinds are passed over. The error names everything that could not be read; unlike
// with Load, nothing is served then.
func PingSources(fsys fs.FS, namespace string) ([]PingSource, error) {
	files, err := readFolder(fsys)
	if err != nil {
		return nil, err
	}
	var found []PingSource
	var errs []error
	for _, f := range files {
		for i, text := range documents(f.text) {
			all, err := f.pings(text)
			if err != nil {
				errs = append(errs, fmt.Errorf("%s: document %d: %w", f.name, i+1, err))
			}
			found = append(found, all...)
		}
	}
	for i := range found {
		found[i].Metadata.Namespace = Options{Namespace: namespace}.namespace(found[i].Metadata.Namespace)
	}
	return found, errors.Join(errs...)
}

func (f file) pings(text []byte) ([]PingSource, error) {
	text, err := toJSON(text)
	if err != nil {
		return nil, err
	}
	var h head
	if string(text) == "null" {
		return nil, nil // only comments
	}
	if err := json.Unmarshal(text, &h); err != nil {
		return nil, fmt.Errorf("must be an object of Kubernetes: %w", plain(err))
	}
	switch {
	case h.APIVersion == "v1" && h.Kind == "List":
		var all []PingSource
		var errs []error
		for i, item := range h.Items {
			found, err := f.pings(item)
			if err != nil {
				errs = append(errs, fmt.Errorf("items[%d]: %w", i, err))
			}
			all = append(all, found...)
		}
		return all, errors.Join(errs...)
	case h.Kind != "PingSource":
		return nil, nil
	case h.APIVersion != "sources.knative.dev/v1":
		return nil, errors.New("a PingSource must be of apiVersion sources.knative.dev/v1")
	}
	p := PingSource{File: f.name}
	err = decode(text, &p, pingFields)
	if p.Metadata.Name == "" {
		err = errors.Join(err, errors.New("metadata.name: is required"))
	}
	return []PingSource{p}, err
}
