package app_test

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"keywatch/app"
	"keywatch/kv"
	"keywatch/persist/object"
)

// movingValues is how many values TestMovingTakesFewRequests moves.
var movingValues = flag.Int("moving-values", 50_000, "how many values of 512 bytes the test of requests moves")

// Every object that is put costs money: ten million values of 512 bytes may take
// 1,300 of them, the share of fewer values accordingly.
func TestMovingTakesFewRequests(t *testing.T) {
	const size, most, of = 512, 1300, 10_000_000
	objects := t.TempDir()
	e := openEngine(t, app.Config{
		Data: t.TempDir(), Fsync: "interval", History: 4 << 20,
		MemoryMax: app.Size(64<<20 + *movingValues*512), ObjectStore: "dir://" + objects,
	})
	var next atomic.Int64
	var running sync.WaitGroup
	for range 4 {
		running.Go(func() {
			const batch = 500
			for first := next.Add(batch) - batch; first < int64(*movingValues); first = next.Add(batch) - batch {
				var c kv.Command
				for i := first; i < min(first+batch, int64(*movingValues)); i++ {
					value := []byte(strings.Repeat("v", size))
					c.Ops = append(c.Ops, kv.Op{Kind: kv.OpPut, Key: fmt.Sprintf("small/%08d", i), Value: value})
				}
				_, err := e.Do(t.Context(), &c)
				for tries := 0; errors.Is(err, kv.ErrMemoryFull) && tries < 60; tries++ {
					_, err = e.Do(t.Context(), &c) // which waits a second for room
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	running.Wait()
	if err := e.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := e.Status()
	segments := 0
	err := filepath.WalkDir(objects, func(path string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(path, object.Suffix) {
			segments++
		}
		return err
	})
	allowed := max(1, most**movingValues/of)
	t.Logf("%d values lie in %d objects; %d would be allowed", s.Tiers.Object.Keys, segments, allowed)
	if err != nil || s.Tiers.Object.Keys != int64(*movingValues) || segments != int(s.Objects.Uploads) || segments == 0 {
		t.Errorf("%d values moved with %d uploads, %d objects: %v", s.Tiers.Object.Keys, s.Objects.Uploads, segments, err)
	}
	if segments > allowed {
		t.Errorf("%d values took %d objects, want at most %d", *movingValues, segments, allowed)
	}
}
