//go:build linux

package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"sigs.k8s.io/yaml"
)

// The layouts.
const (
	// nodes is several `sweepline up` on one Redis and one PostgreSQL.
	nodes = "nodes"
	// apart is each function a process of its own, two supervisors, and two
	// `sweepline broker`.
	apart = "apart"
)

func (w *world) nodes() error {
	var public []string
	for i := range w.o.Nodes {
		name := fmt.Sprintf("node-%d", i+1)
		env, err := w.env(name)
		if err != nil {
			return err
		}
		var addrs [3]string
		for i := range addrs {
			if addrs[i], err = w.ports.next(); err != nil {
				return err
			}
		}
		public = append(public, addrs[0])
		err = w.add(name, "sweepline", env, addrs[2], "/readyz", "up", "--data-dir", filepath.Join(w.dir, name), "--log", "-",
			"--port", portOf(addrs[0]), "--broker-port", portOf(addrs[1]), "--admin-port", portOf(addrs[2]), "--trading-port", "0")
		if err != nil {
			return err
		}
	}
	return w.serve(w.frontAddr, public, public, public, public)
}

func (w *world) serve(addr string, receive, callback, api, dashboard []string) error {
	stop, err := serve(addr, public(receive, callback, api, dashboard))
	if err == nil {
		w.stops = append(w.stops, stop)
	}
	return err
}

// copies are how many processes a function has, where it is not one.
var copies = map[string]int{"supervise": 2}

func (w *world) apart() error {
	// The brokers' ingress is behind one address, as a Kubernetes Service is.
	sinkAddr, err := w.ports.next()
	if err != nil {
		return err
	}
	at := map[string][]string{}
	for _, fn := range w.bins.functions {
		for i := range max(copies[fn], 1) {
			name := fn
			if copies[fn] > 1 {
				name = fmt.Sprintf("%s-%d", fn, i+1)
			}
			env, err := w.env(name)
			if err != nil {
				return err
			}
			sink, err := w.links.open("sink", name, sinkAddr)
			if err != nil {
				return err
			}
			addr, err := w.ports.next()
			if err != nil {
				return err
			}
			metrics, err := w.ports.next()
			if err != nil {
				return err
			}
			at[fn] = append(at[fn], addr)
			env = append(env, "K_SINK=http://"+sink+"/sweepline/default", "PORT="+portOf(addr), "METRICS_PORT="+portOf(metrics))
			if err := w.add(name, fn, env, addr, "/readyz"); err != nil {
				return err
			}
			w.admin[name] = metrics
			if i == 0 { // events go to the first
				w.procs[name].addr, w.procs[name].gate = addr, w.links.gate(linkTo(fn), w.log)
			}
		}
	}
	// Events for a function go through a link of their own, to its first process.
	for fn, addrs := range at {
		if _, err := w.links.open(linkTo(fn), "brokers", addrs[0]); err != nil {
			return err
		}
	}
	w.config = filepath.Join(w.dir, "config")
	if err := w.writeManifests(); err != nil {
		return err
	}
	var ingress []string
	for i := range 2 {
		name := fmt.Sprintf("broker-%d", i+1)
		env, err := w.env(name)
		if err != nil {
			return err
		}
		var addrs [2]string
		for i := range addrs {
			if addrs[i], err = w.ports.next(); err != nil {
				return err
			}
		}
		ingress = append(ingress, addrs[0])
		if err := w.add(name, "sweepline", env, addrs[1], "/readyz", "broker", "--config", w.config,
			"--port", portOf(addrs[0]), "--admin-port", portOf(addrs[1])); err != nil {
			return err
		}
	}
	stop, err := serve(sinkAddr, forward(newRotation(ingress...)))
	if err != nil {
		return err
	}
	w.stops = append(w.stops, stop)
	return w.serve(w.frontAddr, at["receive"], at["callback"], at["api"], at["dashboard"])
}

// linkTo is what the links to a function are named by.
func linkTo(fn string) string { return "fn-" + fn }

// manifests are the pipeline's own.
const manifests = "knative/config/base"

// writeManifests writes the pipeline's Brokers and Triggers into the config
// folder, with our links in place of the Knative Services that they name.
func (w *world) writeManifests() error {
	if err := os.MkdirAll(w.config, 0o750); err != nil {
		return fmt.Errorf("make config folder: %w", err)
	}
	files, err := fs.Glob(os.DirFS(manifests), "*.yaml")
	if err != nil {
		return fmt.Errorf("find manifests: %w", err)
	}
	for _, name := range files {
		raw, err := os.ReadFile(filepath.Join(manifests, name))
		if err != nil {
			return fmt.Errorf("read manifests: %w", err)
		}
		var keep []string
		for _, text := range strings.Split(string(raw), "\n---\n") {
			var doc map[string]any
			if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
				return fmt.Errorf("read %s: %w", name, err)
			}
			if doc["kind"] != "Broker" && doc["kind"] != "Trigger" {
				continue
			}
			if err := w.resolve(doc); err != nil {
				return fmt.Errorf("resolve %s: %w", name, err)
			}
			out, err := yaml.Marshal(doc)
			if err != nil {
				return fmt.Errorf("encode %s: %w", name, err)
			}
			keep = append(keep, string(out))
		}
		if len(keep) == 0 {
			continue
		}
		if err := replaceFile(filepath.Join(w.config, name), strings.Join(keep, "---\n")); err != nil {
			return err
		}
	}
	return nil
}

// resolve replaces every ref to a Service by the uri of its link.
func (w *world) resolve(node any) error {
	switch n := node.(type) {
	case []any:
		for _, v := range n {
			if err := w.resolve(v); err != nil {
				return err
			}
		}
	case map[string]any:
		if ref, ok := n["ref"].(map[string]any); ok && ref["kind"] == "Service" {
			k := w.links.get(linkTo(fmt.Sprint(ref["name"])) + "<brokers")
			if k == nil {
				return fmt.Errorf("no function %v", ref["name"])
			}
			path, _ := n["uri"].(string)
			delete(n, "ref")
			n["uri"] = "http://" + k.proxy.Listen + path
			return nil
		}
		for _, v := range n {
			if err := w.resolve(v); err != nil {
				return err
			}
		}
	}
	return nil
}

// replaceFile writes beside and renames, as whoever changes a mounted
// configuration does.
func replaceFile(file, text string) error {
	if err := os.WriteFile(file+".new", []byte(text), 0o600); err != nil { //nolint:gosec // a file of the run's own folder
		return fmt.Errorf("write configuration: %w", err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	return nil
}
