package lantest

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/gofrs/flock"
)

// turn is this process's turn on the loopback interface, while a test has it.
var turn struct {
	sync.Mutex
	tests int
	lock  *flock.Flock
}

// Loopback returns the name of the machine's own loopback interface, and skips the test where
// there is none. Whoever uses that interface sees everybody there, so the processes of one
// `go test` take turns: it waits for those of other packages, and keeps the turn until the
// test has ended. Tests of one process share it.
func Loopback(t testing.TB) string {
	t.Helper()
	ifis, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, ifi := range ifis {
		if ifi.Flags&net.FlagLoopback != 0 {
			takeTurn(t)
			return ifi.Name
		}
	}
	t.Skip("there is no loopback interface: bring it up (ip link set lo up)")
	return ""
}

func takeTurn(t testing.TB) {
	turn.Lock()
	defer turn.Unlock()
	if turn.tests == 0 {
		turn.lock = flock.New(filepath.Join(os.TempDir(), fmt.Sprintf("earshot-loopback-%d.lock", os.Getuid())))
		if err := turn.lock.Lock(); err != nil {
			t.Fatal(err)
		}
	}
	turn.tests++
	t.Cleanup(func() {
		turn.Lock()
		defer turn.Unlock()
		if turn.tests--; turn.tests == 0 {
			if err := turn.lock.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}
