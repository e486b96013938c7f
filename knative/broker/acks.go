package broker

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/zixly/sweepline/knative/health"
)

// adminPort is where the data plane says how it does.
const adminPort = 9090

// Acks asks pods which contract they serve. A pod only ever goes forward, so
// what it said once is remembered.
type Acks struct {
	// ask gives the generation that the data plane at an address serves.
	ask func(ctx context.Context, address string) (int64, error)
	// health gives what the data plane at an address says of itself.
	health func(ctx context.Context, address string) (health.Status, error)

	mu    sync.Mutex
	known map[types.UID]int64
}

// NewAcks makes Acks that ask over HTTP.
func NewAcks() *Acks {
	client := &http.Client{Timeout: 2 * time.Second}
	return &Acks{
		known: make(map[types.UID]int64),
		ask: func(ctx context.Context, address string) (int64, error) {
			var body struct {
				Generation int64 `json:"generation"`
			}
			err := get(ctx, client, "http://"+address+"/contract", &body)
			return body.Generation, err
		},
		health: func(ctx context.Context, address string) (health.Status, error) {
			var s health.Status
			err := get(ctx, client, "http://"+address+health.Path, &s)
			return s, err
		},
	}
}

// has reports whether the pod serves that generation or a later one. The error
// says why it does not.
func (a *Acks) has(ctx context.Context, pod *corev1.Pod, generation int64) error {
	a.mu.Lock()
	known := a.known[pod.UID]
	a.mu.Unlock()
	if known >= generation {
		return nil
	}
	got, err := a.ask(ctx, net.JoinHostPort(pod.Status.PodIP, strconv.Itoa(adminPort)))
	if err != nil {
		return fmt.Errorf("pod %s: %w", pod.Name, err)
	}
	a.mu.Lock()
	a.known[pod.UID] = max(a.known[pod.UID], got)
	a.mu.Unlock()
	if got < generation {
		return fmt.Errorf("pod %s does not serve the latest contract yet", pod.Name)
	}
	return nil
}

// forget drops what is known of a pod that is gone.
func (a *Acks) forget(uid types.UID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.known, uid)
}

func get(ctx context.Context, client *http.Client, url string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s answered %d", req.URL.Path, res.StatusCode)
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, 4<<10)).Decode(into); err != nil {
		return fmt.Errorf("decode answer of %s: %w", req.URL.Path, err)
	}
	return nil
}
