package sqlite_test

import (
	"path/filepath"
	"testing"

	"github.com/zixly/sweepline/shared/ledger/ledgertest"
)

func TestSurvey(t *testing.T) {
	t.Parallel()
	ledgertest.ExerciseSurvey(t, func(t *testing.T) ledgertest.Surveyed { return open(t, filepath.Join(t.TempDir(), "ledger.db")) })
}
