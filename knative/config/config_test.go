package config_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	kubescheme "k8s.io/client-go/kubernetes/scheme"
	eventingv1 "knative.dev/eventing/pkg/apis/eventing/v1"
	eventingv1alpha1 "knative.dev/eventing/pkg/apis/eventing/v1alpha1"
	eventingv1beta3 "knative.dev/eventing/pkg/apis/eventing/v1beta3"
	"knative.dev/eventing/pkg/apis/feature"
	"knative.dev/pkg/apis"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"

	"github.com/zixly/sweepline/knative/config"
	"github.com/zixly/sweepline/shared/broker/manifest"
)

// roots are all that somebody may build.
var roots = []string{"class", "base", "overlays/kind", "overlays/production", "overlays/kafka", "overlays/channel"}

// build renders a kustomization as kubectl apply -k does.
func build(t *testing.T, dir string) []*resource.Resource {
	t.Helper()
	m, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
	require.NoError(t, err)
	return m.Resources()
}

func TestManifestsAreValid(t *testing.T) {
	t.Parallel()
	services := crd(t)
	for _, root := range roots {
		t.Run(root, func(t *testing.T) {
			t.Parallel()
			all := build(t, root)
			require.NotEmpty(t, all)
			for _, r := range all {
				text, err := r.MarshalJSON()
				require.NoError(t, err)
				require.NoError(t, validate(text, services), "%s %s", r.GetKind(), r.GetName())
			}
		})
	}
}

// validate does what the API server does with --validate=strict: unknown and
// double fields are errors, and so is what Knative's webhook refuses.
func validate(text []byte, services *serviceSchema) error {
	var head struct{ APIVersion, Kind string }
	if err := json.Unmarshal(text, &head); err != nil {
		return err
	}
	switch head.APIVersion {
	case "serving.knative.dev/v1":
		return services.validate(text)
	case "eventing.knative.dev/v1", "eventing.knative.dev/v1alpha1", "eventing.knative.dev/v1beta3":
		return validateEventing(text, head.Kind)
	}
	_, _, err := strict.UniversalDeserializer().Decode(text, nil, nil)
	return err
}

var strict = serializer.NewCodecFactory(kubescheme.Scheme, serializer.EnableStrict)

func validateEventing(text []byte, kind string) error {
	var o interface {
		Validate(context.Context) *apis.FieldError
	}
	switch kind {
	case "Broker":
		o = &eventingv1.Broker{}
	case "Trigger":
		o = &eventingv1.Trigger{}
	case "EventPolicy":
		o = &eventingv1alpha1.EventPolicy{}
	case "EventType":
		o = &eventingv1beta3.EventType{}
	}
	if err := yaml.UnmarshalStrict(text, o); err != nil {
		return err
	}
	// As Eventing ships config-features.
	ctx := feature.ToContext(context.Background(), feature.Flags{feature.DeliveryTimeout: feature.Enabled})
	if err := o.Validate(ctx); err != nil {
		return err
	}
	return nil
}

// serviceSchema is the schema of Knative Services.
type serviceSchema struct {
	structural *schema.Structural
	validator  validation.SchemaValidator
}

func crd(t *testing.T) *serviceSchema {
	t.Helper()
	text, err := os.ReadFile("testdata/services.serving.knative.dev.yaml")
	require.NoError(t, err)
	var def apiextensionsv1.CustomResourceDefinition
	require.NoError(t, yaml.UnmarshalStrict(text, &def))
	var props apiextensions.JSONSchemaProps
	require.NoError(t, apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(
		def.Spec.Versions[0].Schema.OpenAPIV3Schema, &props, nil))
	structural, err := schema.NewStructural(&props)
	require.NoError(t, err)
	validator, _, err := validation.NewSchemaValidator(&props)
	require.NoError(t, err)
	return &serviceSchema{structural, validator}
}

func (s *serviceSchema) validate(text []byte) error {
	var o map[string]any
	if err := json.Unmarshal(text, &o); err != nil {
		return err
	}
	unknown := pruning.PruneWithOptions(o, s.structural, true, schema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true})
	if len(unknown) > 0 {
		return fmt.Errorf("unknown fields %s", strings.Join(unknown, ", "))
	}
	return validation.ValidateCustomResource(nil, o, s.validator).ToAggregate()
}

// What is wrong must be found, or the test above says nothing.
func TestValidationFindsMistakes(t *testing.T) {
	t.Parallel()
	services := crd(t)
	for name, text := range map[string]string{
		"unknown field of a function": `{"apiVersion":"serving.knative.dev/v1","kind":"Service","metadata":{"name":"a"},"spec":{"template":{"spec":{"containerConcurency":1,"containers":[{"image":"a"}]}}}}`,
		"wrong type in a function":    `{"apiVersion":"serving.knative.dev/v1","kind":"Service","metadata":{"name":"a"},"spec":{"template":{"spec":{"timeoutSeconds":"1","containers":[{"image":"a"}]}}}}`,
		"unknown field of a Trigger":  `{"apiVersion":"eventing.knative.dev/v1","kind":"Trigger","metadata":{"name":"a"},"spec":{"broker":"b","subscriper":{}}}`,
		"a Trigger without a Broker":  `{"apiVersion":"eventing.knative.dev/v1","kind":"Trigger","metadata":{"name":"a"},"spec":{"subscriber":{"uri":"http://a"}}}`,
		"unknown field of core":       `{"apiVersion":"v1","kind":"Service","metadata":{"name":"a"},"spec":{"port":[]}}`,
		"unknown kind":                `{"apiVersion":"v1","kind":"Serfice","metadata":{"name":"a"}}`,
	} {
		require.Error(t, validate([]byte(text), services), name)
	}
}

// Everything that runs a container meets the restricted Pod Security standard
// and has a read-only root, without credentials it does not need.
func TestPodsAreRestricted(t *testing.T) {
	t.Parallel()
	for _, root := range []string{"overlays/kind", "overlays/production", "overlays/channel"} {
		for _, r := range build(t, root) {
			spec, ok := podSpec(t, r)
			if !ok {
				continue
			}
			where := root + " " + r.GetKind() + " " + r.GetName()
			if r.GetName() != "sweepline-broker-controller" {
				require.Equal(t, false, spec["automountServiceAccountToken"], where)
			}
			pod, _ := spec["securityContext"].(map[string]any)
			for _, c := range spec["containers"].([]any) {
				c := c.(map[string]any)
				security, ok := c["securityContext"].(map[string]any)
				require.True(t, ok, where)
				require.Equal(t, false, security["allowPrivilegeEscalation"], where)
				require.Equal(t, true, security["readOnlyRootFilesystem"], where)
				require.Equal(t, map[string]any{"drop": []any{"ALL"}}, security["capabilities"], where)
				require.True(t, security["runAsNonRoot"] == true || pod["runAsNonRoot"] == true, where)
				require.True(t, security["seccompProfile"] != nil || pod["seccompProfile"] != nil, where)
				resources, _ := c["resources"].(map[string]any)
				require.NotNil(t, resources["requests"], where)
				require.NotNil(t, resources["limits"], where)
				require.NotNil(t, c["readinessProbe"], where)
			}
		}
	}
}

// Components build on top of production; their kinds are other projects' and
// have no schema here.
func TestComponentsBuild(t *testing.T) {
	t.Parallel()
	for name, kinds := range map[string][]string{
		"monitoring": {"PodMonitor", "PrometheusRule", "HorizontalPodAutoscaler"},
		"keda":       {"ScaledObject"},
		"policy":     {"EventPolicy", "HorizontalPodAutoscaler"},
	} {
		got := map[string]bool{}
		for _, r := range withComponent(t, name) {
			got[r.GetKind()] = true
		}
		for _, kind := range kinds {
			require.True(t, got[kind], "%s has no %s", name, kind)
		}
		require.Equal(t, name != "keda", got["HorizontalPodAutoscaler"], "two autoscalers would fight")
	}
}

// withComponent builds production with a component more.
func withComponent(t *testing.T, name string) []*resource.Resource {
	t.Helper()
	here, err := os.Getwd()
	require.NoError(t, err)
	top := t.TempDir()
	relative := func(path string) string {
		r, err := filepath.Rel(top, filepath.Join(here, path))
		require.NoError(t, err)
		return r
	}
	text := fmt.Sprintf("resources: [%s]\ncomponents: [%s]\n", relative("overlays/production"), relative("components/"+name))
	require.NoError(t, os.WriteFile(filepath.Join(top, "kustomization.yaml"), []byte(text), 0o600))
	return build(t, top)
}

func podSpec(t *testing.T, r *resource.Resource) (map[string]any, bool) {
	t.Helper()
	m, err := r.Map()
	require.NoError(t, err)
	spec, _ := m["spec"].(map[string]any)
	template, _ := spec["template"].(map[string]any)
	pod, ok := template["spec"].(map[string]any)
	return pod, ok
}

// Every function in the tree is deployed, and every Trigger's subscriber is.
func TestTreeAndManifestsAgree(t *testing.T) {
	t.Parallel()
	deployed := map[string]bool{}
	var images []string
	for _, r := range build(t, "base") {
		if r.GetGvk().Group != "serving.knative.dev" {
			continue
		}
		deployed[r.GetName()] = true
		pod, _ := podSpec(t, r)
		images = append(images, pod["containers"].([]any)[0].(map[string]any)["image"].(string))
	}
	for _, image := range images {
		path, ok := strings.CutPrefix(image, "ko://github.com/zixly/sweepline/")
		require.True(t, ok, image)
		require.FileExists(t, filepath.Join("../..", path, "main.go"))
	}
	mains, err := filepath.Glob("../../functions/cmd/*/main.go")
	require.NoError(t, err)
	require.Len(t, deployed, len(mains))

	fsys, err := fs.Sub(config.Pipeline, "base")
	require.NoError(t, err)
	set, err := manifest.Load(fsys, manifest.Options{Class: "RedisStreams", Resolve: func(r manifest.Ref) (string, error) {
		require.True(t, deployed[r.Name], "no function %s", r.Name)
		return "http://" + r.Name, nil
	}})
	require.NoError(t, err)
	require.Empty(t, set.Problems)
	require.Empty(t, set.Invalid)
	require.Len(t, set.Brokers, 1)
	require.NotEmpty(t, set.Triggers)
}

// The dashboard and the rules speak of metrics that somebody counts.
func TestMetricsExist(t *testing.T) {
	t.Parallel()
	var code bytes.Buffer
	for _, root := range []string{"../../shared", "../../functions", "../cmd"} {
		require.NoError(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") {
				return err
			}
			text, err := os.ReadFile(path)
			code.Write(text)
			return err
		}))
	}
	suffix := regexp.MustCompile(`_(bucket|count|sum)$`)
	for _, file := range []string{"components/monitoring/610-rules.yaml", "components/monitoring/dashboard.json"} {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		require.NoError(t, yaml.Unmarshal(text, &map[string]any{}), file)
		for _, name := range regexp.MustCompile(`(sweepline_broker|pipeline)_[a-z_]+`).FindAllString(string(text), -1) {
			name = strings.TrimPrefix(suffix.ReplaceAllString(name, ""), "sweepline_broker_")
			require.Contains(t, code.String(), `"`+name+`"`, "%s: nobody counts this", file)
		}
	}
}

// The door: keys are required wherever a cluster is not said to be open to all.
func TestKeysAreRequired(t *testing.T) {
	t.Parallel()
	for _, root := range []string{"base", "overlays/production", "overlays/kafka", "overlays/kind", "overlays/channel"} {
		found := 0
		for _, r := range build(t, root) {
			if r.GetKind() != "Service" || !strings.HasPrefix(r.GetApiVersion(), "serving.knative.dev/") {
				continue
			}
			text, err := r.AsYAML()
			require.NoError(t, err)
			switch name := r.GetName(); name {
			case "receive", "api", "dashboard":
				found++
				if root == "overlays/kind" || root == "overlays/channel" { // components/inside
					require.Contains(t, string(text), "- name: TENANTS\n          value: open\n", name)
					require.NotContains(t, string(text), "TENANT_KEYS", name)
					continue
				}
				require.Contains(t, string(text), "- name: TENANT_KEYS\n          valueFrom:\n            secretKeyRef:\n              key: TENANT_KEYS\n              name: pipeline\n", name)
				require.NotContains(t, string(text), "name: TENANTS\n", name)
				require.NotRegexp(t, `key: (TENANT_KEYS|CALLBACK_SECRET)\n\s+name: pipeline\n\s+optional: true`, string(text), name)
			}
		}
		require.Equal(t, 3, found, root)
	}
}

// TestSharedSettingsReachAllWhoNeedThem: operators can be named where the broker is
// shown, all functions that admit jobs keep the same slots, and who takes an address calls it.
func TestSharedSettingsReachAllWhoNeedThem(t *testing.T) {
	t.Parallel()
	for _, r := range build(t, "base") {
		if r.GetKind() != "Service" || !strings.HasPrefix(r.GetApiVersion(), "serving.knative.dev/") {
			continue
		}
		yaml, err := r.AsYAML()
		require.NoError(t, err)
		has := func(name string) bool {
			return strings.Contains(string(yaml), "- name: "+name+"\n          valueFrom:\n            configMapKeyRef:\n              key: "+name+"\n              name: pipeline\n              optional: true\n")
		}
		shows := r.GetName() == "api" || r.GetName() == "dashboard"
		require.Equal(t, shows, has("OPERATOR_TENANTS"), r.GetName())
		require.Equal(t, slices.Contains([]string{"receive", "notify", "dashboard"}, r.GetName()), has("NOTIFY_URL_HOSTS"), r.GetName())
		require.Equal(t, has("TRADING_API_MAX_CONCURRENT"), has("TENANT_SLOTS_KEPT"), r.GetName())
	}
}

// given are the keys of Secrets or ConfigMaps, as "Secret/name/key".
type given map[string]bool

// add takes those of a built Secret or ConfigMap.
func (g given) add(t *testing.T, r *resource.Resource) {
	t.Helper()
	if r.GetKind() != "Secret" && r.GetKind() != "ConfigMap" {
		return
	}
	m, err := r.Map()
	require.NoError(t, err)
	for _, field := range []string{"data", "stringData"} {
		data, _ := m[field].(map[string]any)
		for key := range data {
			g[r.GetKind()+"/"+r.GetName()+"/"+key] = true
		}
	}
}

// documented takes the Secrets that the README has people create, and what it has make
// create.
func (g given) documented(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile("../README.md")
	require.NoError(t, err)
	require.Contains(t, string(text), "make broker-certificate")
	g["ConfigMap/broker-ca/ca.crt"] = true
	for _, command := range regexp.MustCompile(`create secret generic (\S+)((?:[^\n]*\\\n)*[^\n]*)`).FindAllStringSubmatch(string(text), -1) {
		for _, key := range regexp.MustCompile(`--from-literal=(\w+)=`).FindAllStringSubmatch(command[2], -1) {
			g["Secret/"+command[1]+"/"+key[1]] = true
		}
	}
}

// A container whose Secret or ConfigMap lacks a key does not start, and only a cluster
// says so: each key that is not optional comes with the overlay or, where that only
// names it, stands in the README.
func TestRequiredKeysAreThere(t *testing.T) {
	t.Parallel()
	for root, inside := range map[string]bool{"overlays/kind": true, "overlays/channel": true, "overlays/production": false, "overlays/kafka": false} {
		all := build(t, root)
		there := given{}
		for _, r := range all {
			there.add(t, r)
		}
		if !inside {
			there.documented(t)
		}
		seen := 0
		for _, r := range all {
			pod, ok := podSpec(t, r)
			if !ok {
				continue
			}
			for _, c := range pod["containers"].([]any) {
				env, _ := c.(map[string]any)["env"].([]any)
				for _, e := range env {
					from, _ := e.(map[string]any)["valueFrom"].(map[string]any)
					for field, kind := range map[string]string{"secretKeyRef": "Secret", "configMapKeyRef": "ConfigMap"} {
						ref, ok := from[field].(map[string]any)
						if !ok || ref["optional"] == true {
							continue
						}
						seen++
						want := fmt.Sprintf("%s/%s/%s", kind, ref["name"], ref["key"])
						require.True(t, there[want], "%s: %s %s needs %s", root, r.GetKind(), r.GetName(), want)
					}
				}
			}
		}
		require.Greater(t, seen, 20, root)
	}
}

// The stories on a real cluster look into Redis: they name keys that there are.
func TestStoriesKnowTheKeys(t *testing.T) {
	t.Parallel()
	keys, err := os.ReadFile("../../shared/broker/stream/keys.go")
	require.NoError(t, err)
	stories, err := filepath.Glob("../scripts/e2e/*.sh")
	require.NoError(t, err)
	seen := 0
	for _, story := range stories {
		text, err := os.ReadFile(story)
		require.NoError(t, err)
		for _, key := range regexp.MustCompile(`/0\}:(\w+)`).FindAllStringSubmatch(string(text), -1) {
			seen++
			require.Regexp(t, `(?m)^//\s+`+key[1]+`(:NAME)?\s`, string(keys), story)
		}
	}
	require.Positive(t, seen)
}
