// Command controller is the control plane of the Broker class RedisStreams. It
// runs beside Eventing's own controllers and reads the same ConfigMaps.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
	apierrs "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kubeclient "knative.dev/pkg/client/injection/kube/client"
	filteredinformers "knative.dev/pkg/client/injection/kube/informers/factory/filtered"
	"knative.dev/pkg/configmap/informer"
	"knative.dev/pkg/controller"
	"knative.dev/pkg/injection"
	"knative.dev/pkg/leaderelection"
	"knative.dev/pkg/logging"
	"knative.dev/pkg/signals"
	"knative.dev/pkg/system"

	"github.com/zixly/sweepline/knative/broker"
	"github.com/zixly/sweepline/shared/function"
)

const component = "sweepline-broker-controller"

// Config is what the controller itself is told. Knative's own variables
// (SYSTEM_NAMESPACE, POD_NAME, CONFIG_LOGGING_NAME, …) hold as well.
type Config struct {
	// Image is the image of the data planes that the controller makes.
	Image string `envconfig:"BROKER_IMAGE" required:"nonempty"`
}

func main() {
	if err := run(signals.NewContext()); err != nil {
		slog.Error("controller stopped", "error", err)
		os.Exit(1)
	}
}

// run does what knative.dev/pkg/injection/sharedmain does for a process without
// webhooks, but for its exporters: those double the binary, and their resource
// does not go with newer OpenTelemetry SDKs.
func run(ctx context.Context) error {
	var cfg Config
	if err := function.Load(&cfg); err != nil {
		return fmt.Errorf("read configuration: %w", err)
	}
	rest := injection.ParseAndGetRESTConfigOrDie()
	rest.QPS, rest.Burst = 50, 100
	ctx = filteredinformers.WithSelectors(ctx, broker.Selectors()...)
	ctx, startInformers := injection.EnableInjectionOrDie(ctx, rest)
	kube := kubeclient.Get(ctx)

	level, err := data(ctx, logging.ConfigMapName())
	if err != nil {
		return err
	}
	logs, err := logging.NewConfigFromMap(level)
	if err != nil {
		return fmt.Errorf("read %s: %w", logging.ConfigMapName(), err)
	}
	logger, atomic := logging.NewLoggerFromConfig(logs, component)
	defer func() { _ = logger.Sync() }() // stderr of a pod cannot be synced
	ctx = logging.WithLogger(ctx, logger)

	lease, err := data(ctx, leaderelection.ConfigMapName())
	if err != nil {
		return err
	}
	election, err := leaderelection.NewConfigFromMap(lease)
	if err != nil {
		return fmt.Errorf("read %s: %w", leaderelection.ConfigMapName(), err)
	}
	ctx = leaderelection.WithDynamicLeaderElectorBuilder(ctx, kube, election.GetComponentConfig(component))

	watcher := informer.NewInformedWatcher(kube, system.Namespace())
	var controllers []*controller.Impl
	for _, c := range broker.Controllers(cfg.Image) {
		controllers = append(controllers, c(ctx, watcher))
	}
	if level != nil {
		watcher.Watch(logging.ConfigMapName(), logging.UpdateLevelFromConfigMap(logger, atomic, component))
	}
	if err := watcher.Start(ctx.Done()); err != nil {
		return fmt.Errorf("watch configuration: %w", err)
	}
	startInformers()
	logger.Infow("Controllers start", zap.String("image", cfg.Image))
	tasks, ctx := errgroup.WithContext(ctx)
	tasks.Go(func() error { return controller.StartAll(ctx, controllers...) })
	tasks.Go(func() error { return injection.ServeHealthProbes(ctx, injection.HealthCheckDefaultPort) })
	if err := tasks.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("run controllers: %w", err)
	}
	return nil
}

// data reads a ConfigMap of the system namespace; one that is not there is nil,
// and Knative's defaults hold.
func data(ctx context.Context, name string) (map[string]string, error) {
	cm, err := kubeclient.Get(ctx).CoreV1().ConfigMaps(system.Namespace()).Get(ctx, name, metav1.GetOptions{})
	if apierrs.IsNotFound(err) {
		return nil, nil //nolint:nilnil // nothing said is nothing wrong
	}
	if err != nil {
		return nil, fmt.Errorf("get ConfigMap %s: %w", name, err)
	}
	return cm.Data, nil
}
