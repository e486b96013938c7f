package broker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"k8s.io/client-go/kubernetes"
	"knative.dev/eventing/pkg/apis/feature"
)

const (
	// keysEvery is how often the issuer's keys are read again.
	keysEvery = time.Minute
	// maxIssuer bounds what is read of an issuer.
	maxIssuer = 256 << 10

	discoveryPath = "/.well-known/openid-configuration"
	keysPath      = "/openid/v1/jwks" // of an API server
)

// issuer knows who makes the cluster's tokens, and the keys that they are signed with.
// Data planes ask nobody: they get both in their contract.
type issuer struct {
	// apiServer reads a path of the API server, web an address outside.
	apiServer, web func(ctx context.Context, at string) ([]byte, error)
	now            func() time.Time

	mu    sync.Mutex
	known map[string]issued // by the URL that config-features names
}

// issued is what is known of an issuer.
type issued struct {
	url  string
	keys json.RawMessage
	read time.Time
}

func newIssuer(kube kubernetes.Interface, now func() time.Time) *issuer {
	client := &http.Client{Timeout: 10 * time.Second}
	return &issuer{
		now: now, known: make(map[string]issued),
		apiServer: func(ctx context.Context, path string) ([]byte, error) {
			ctx, cancel := context.WithTimeout(ctx, client.Timeout)
			defer cancel()
			return kube.Discovery().RESTClient().Get().AbsPath(path).DoRaw(ctx)
		},
		web: func(ctx context.Context, address string) ([]byte, error) {
			return fetch(ctx, client, address)
		},
	}
}

func fetch(ctx context.Context, client *http.Client, address string) ([]byte, error) {
	if u, err := url.Parse(address); err != nil || u.Scheme != "https" {
		return nil, errors.New("its address must be https")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	res, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("GET %s answered %d", req.URL.Path, res.StatusCode)
	}
	return io.ReadAll(io.LimitReader(res.Body, maxIssuer))
}

// of gives what is known of the issuer that config-features names. While it cannot be
// read, what was last known holds; the error is of one of which nothing ever was.
func (i *issuer) of(ctx context.Context, base string) (issued, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	last, ok := i.known[base]
	if ok && i.now().Sub(last.read) < keysEvery {
		return last, nil
	}
	next, err := i.ask(ctx, base)
	switch {
	case err == nil:
		next.read = i.now()
		i.known[base] = next
		return next, nil
	case ok:
		return last, nil
	}
	return issued{}, fmt.Errorf("read the keys of the cluster's issuer: %w", err)
}

func (i *issuer) ask(ctx context.Context, base string) (issued, error) {
	get, prefix := i.web, strings.TrimSuffix(base, "/")
	if base == string(feature.DefaultOIDCDiscoveryBaseURL) {
		get, prefix = i.apiServer, ""
	}
	text, err := get(ctx, prefix+discoveryPath)
	if err != nil {
		return issued{}, err
	}
	var discovered struct {
		Issuer string `json:"issuer"`
		Keys   string `json:"jwks_uri"`
	}
	if err := json.Unmarshal(text, &discovered); err != nil || discovered.Issuer == "" {
		return issued{}, errors.New("what it says of itself cannot be read")
	}
	if prefix == "" { // wherever the cluster shows them to others
		discovered.Keys = keysPath
	}
	if text, err = get(ctx, discovered.Keys); err != nil {
		return issued{}, err
	}
	keys, err := publicKeys(text)
	return issued{url: discovered.Issuer, keys: keys}, err
}

// publicKeys leaves of a JSON Web Key Set what a signature is checked with.
func publicKeys(text []byte) (json.RawMessage, error) {
	var set, public jose.JSONWebKeySet
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, errors.New("its keys cannot be read")
	}
	for _, k := range set.Keys {
		if k.Valid() && k.IsPublic() && (k.Use == "" || k.Use == "sig") {
			public.Keys = append(public.Keys, k)
		}
	}
	if len(public.Keys) == 0 {
		return nil, errors.New("it has no keys")
	}
	return json.Marshal(public)
}
