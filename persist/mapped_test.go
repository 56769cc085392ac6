package persist_test

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"

	"keywatch/kv"
	"keywatch/persist"
	"keywatch/test/gate"
)

// filesResident returns how much of mapped files this process has in memory, as the
// system says.
func filesResident(t *testing.T) int64 {
	t.Helper()
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	var kb int64
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "RssFile:"); ok {
			_, err = fmt.Sscanf(rest, "%d", &kb)
		}
	}
	if err != nil || kb == 0 {
		t.Fatalf("no RssFile in\n%s", b)
	}
	return kb << 10
}

// The values that were dropped from memory must not return as pages of the mapped
// file, however they are read: by key, at a start, or while ranges are swept.
func TestProofMappedFileStaysSmall(t *testing.T) {
	gate.Long(t)
	if runtime.GOOS != "linux" {
		t.Skip("other systems do not say how much of a file is in memory")
	}
	const keys, size, most = 24_000, 4 << 10, 64 << 20
	r := newRig(t, persist.Hooked(persist.Options{Logger: tight.Logger}, nil, nil))
	write := func(first, step int) {
		for i := first; i < keys; i += step * 100 {
			var batch []*kv.Command
			for j := i; j < min(keys, i+step*100); j += step {
				batch = append(batch, put(fmt.Sprintf("key/%d", j), strings.Repeat(fmt.Sprint(j, " "), size)[:size], 0))
			}
			r.do(batch...)
		}
		r.mustCheckpoint()
		for r.state.Evict(1<<30) > 0 {
		}
	}
	before := filesResident(t)
	check := func(when string) {
		t.Helper()
		if grown := filesResident(t) - before; grown > most {
			t.Errorf("%s: %d MiB of the file are in memory, of %d MiB of values", when, grown>>20, keys*size>>20)
		}
	}
	write(0, 1)
	check("written")
	for i := range keys {
		key := fmt.Sprintf("key/%d", i)
		if e, _, err := r.state.Read(t.Context(), key); err != nil || !strings.HasPrefix(e.Value(), fmt.Sprint(i, " ")) {
			t.Fatalf("read %s: %v", key, err)
		}
		if i%1000 == 0 {
			r.state.Evict(1 << 30)
			check("read by key")
		}
	}
	write(0, 2)
	write(1, 3)
	check("swept")
	r.reopen()
	check("started")
}
