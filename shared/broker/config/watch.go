package config

import (
	"context"
	"crypto/sha256"
	"io/fs"
	"log/slog"
	"time"

	"github.com/zixly/sweepline/shared/broker"
)

// Watch looks at fsys every so often until ctx ends, and hands the Set to apply
// whenever a file was changed, added or removed: Server.Apply is meant for it.
// A Set that cannot be read or applied is logged and leaves the last one in
// force; it is tried again when the files change, and one that could not be
// applied (Redis may be away) at the next look, too. The files as they are when
// Watch begins count as new.
//
// It compares contents rather than waiting for notifications, which network
// file systems and mounted ConfigMaps do not give reliably.
func Watch(ctx context.Context, fsys fs.FS, opts Options, every time.Duration,
	apply func(context.Context, broker.Set) error, log *slog.Logger,
) {
	var last [sha256.Size]byte
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		if sum, err := fingerprint(fsys); err != nil {
			log.WarnContext(ctx, "Broker configuration cannot be looked at", "error", err)
		} else if sum != last {
			set, err := Load(fsys, opts)
			if err != nil {
				log.ErrorContext(ctx, "Broker configuration is not taken up", "error", err)
				last = sum
			} else if err := apply(ctx, set); err != nil {
				log.ErrorContext(ctx, "Broker configuration is not taken up", "error", err)
			} else {
				log.InfoContext(ctx, "Broker configuration is taken up",
					"brokers", len(set.Brokers), "triggers", len(set.Triggers))
				last = sum
			}
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

func fingerprint(fsys fs.FS) ([sha256.Size]byte, error) {
	var sum [sha256.Size]byte
	files, err := yamlFiles(fsys)
	if err != nil {
		return sum, err
	}
	h := sha256.New()
	for _, name := range files {
		text, err := fs.ReadFile(fsys, name)
		if err != nil {
			return sum, err
		}
		fileSum := sha256.Sum256(text)
		h.Write([]byte(name))
		h.Write(fileSum[:])
	}
	return [sha256.Size]byte(h.Sum(nil)), nil
}
