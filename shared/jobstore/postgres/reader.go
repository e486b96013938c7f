package postgres

import "context"

// OpenReader opens a job store to read from, by what load fills of the environment. It
// migrates nothing: store looks after the schema.
func OpenReader(ctx context.Context, load func(configs ...any) error) (*Store, error) {
	var cfg Config
	if err := load(&cfg); err != nil {
		return nil, err
	}
	cfg.Migrate = false
	return Open(ctx, cfg)
}
