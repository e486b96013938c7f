package wait_test

import (
	"strings"
	"testing"

	"github.com/zixly/sweepline/shared/servers/servertest"
)

// TestOnACluster repeats the tests of this package on a Redis Cluster of three
// masters: a script whose keys lie in different slots is refused there.
func TestOnACluster(t *testing.T) {
	clusterURL = servertest.Cluster(t)
	for name, test := range map[string]func(*testing.T){
		"accept": TestAcceptOnce, "attempt": TestOneAttemptIsInCharge,
		"due": TestDueCostsWhatIsDue, "watch": TestWatch, "trace": TestTraceOutlivesTheWait,
		"gate": TestBreaker, "budget": TestNoMinuteSeesMore, "model": TestModel,
		"restore": TestRestoreARunningJob, "walk": TestLookupAndWalk,
	} {
		t.Run(name, test)
	}
}

// clusterURL is written before any test reads it: those on the cluster run
// within TestOnACluster.
var clusterURL string

func onCluster(t *testing.T) bool { return strings.HasPrefix(t.Name(), "TestOnACluster/") }
