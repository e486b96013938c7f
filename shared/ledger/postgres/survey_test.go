package postgres_test

import (
	"testing"

	"github.com/zixly/sweepline/shared/ledger/ledgertest"
	"github.com/zixly/sweepline/shared/servers/servertest"
)

func TestSurvey(t *testing.T) {
	t.Parallel()
	ledgertest.ExerciseSurvey(t, func(t *testing.T) ledgertest.Surveyed { return open(t, servertest.Postgres(t), true) })
}
