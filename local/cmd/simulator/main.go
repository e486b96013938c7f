// Command simulator runs the trading API's simulator alone, as a small image
// for clusters; SIMULATOR_ variables set it up. On a laptop there is `sweepline
// simulator`, with flags.
package main

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/zixly/sweepline/local/simulator"
	"github.com/zixly/sweepline/shared/function"
)

func main() { function.Main("simulator", fromEnv) }

// api is the simulator as a function that takes requests.
type api struct {
	sim     *simulator.Simulator
	handler http.Handler
}

func fromEnv(context.Context) (*api, error) {
	var cfg simulator.Config
	if err := function.Load(&cfg); err != nil {
		return nil, err
	}
	sim, err := simulator.New(cfg, slog.Default())
	if err != nil {
		return nil, err
	}
	return &api{sim: sim, handler: sim.Handler()}, nil
}

// Handle answers as the trading API does.
func (a *api) Handle(w http.ResponseWriter, r *http.Request) { a.handler.ServeHTTP(w, r) }

// Stop ends the sweeps under way.
func (a *api) Stop(context.Context) error {
	a.sim.Close()
	return nil
}
