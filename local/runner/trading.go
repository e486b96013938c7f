package runner

import (
	"path/filepath"

	"github.com/zixly/sweepline/local/simulator"
	"github.com/zixly/sweepline/shared/function"
)

// startTrading runs the simulator where no trading API is named. It keeps its
// sweeps over a restart, as an outside service does when we die.
func (l *Local) startTrading(cfg Config) error {
	if !l.Simulated {
		return nil
	}
	sim := simulator.DefaultConfig()
	if err := function.Load(&sim); err != nil {
		return err
	}
	if cfg.SimulatorDelay > 0 {
		sim.Delay = cfg.SimulatorDelay
	}
	if sim.StateDir == "" {
		sim.StateDir = filepath.Join(l.DataDir, "simulator")
	}
	if cfg.PricesDir != "" {
		sim.PricesDir = cfg.PricesDir
	}
	var err error
	if l.sim, err = simulator.New(sim, l.log); err != nil {
		return err
	}
	l.group.Go(func() error { return l.tradingAt.serve(l.sim.Handler(), l.hosts, l.log) })
	return nil
}
