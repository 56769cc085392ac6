//go:build keywatchfault

package disk

import (
	"os"
	"strings"
	"time"
)

// SyncEnv names the environment variable that names a file. While the file is there each fsync
// takes longer by the duration in it; while it says "hang" no fsync ends.
const SyncEnv = "KEYWATCH_FAULT_FSYNC"

// syncPoll is the time between two looks at the file.
const syncPoll = 10 * time.Millisecond

var syncFile = os.Getenv(SyncEnv)

// awaitSync stands before each fsync.
func awaitSync() {
	if syncFile == "" {
		return
	}
	for {
		b, err := os.ReadFile(syncFile)
		if err != nil {
			return
		}
		text := strings.TrimSpace(string(b))
		if text == "hang" {
			time.Sleep(syncPoll)
			continue
		}
		if d, err := time.ParseDuration(text); err == nil {
			time.Sleep(d)
		}
		return
	}
}
