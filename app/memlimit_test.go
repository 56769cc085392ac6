package app_test

import (
	"math"
	"testing"
	"testing/fstest"

	"keywatch/app"
)

// If a control group's limit were not seen, the default of --memory-max would
// lead to an out-of-memory kill in a container.
func TestProcessMemory(t *testing.T) {
	file := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
	info := file("MemTotal:       1000 kB\nMemFree: 1 kB\n")
	for name, c := range map[string]struct {
		files fstest.MapFS
		want  int64
	}{
		"nothing to read": {fstest.MapFS{}, math.MaxInt64},
		"no group":        {fstest.MapFS{"proc/meminfo": info}, 1000 << 10},
		"version 2": {fstest.MapFS{
			"proc/meminfo": info, "proc/self/cgroup": file("0::/a/b\n"),
			"sys/fs/cgroup/a/b/memory.max": file("max\n"), "sys/fs/cgroup/a/memory.max": file("4096\n"),
		}, 4096},
		"version 2 in a container": {fstest.MapFS{
			"proc/meminfo": info, "proc/self/cgroup": file("0::/\n"), "sys/fs/cgroup/memory.max": file("8192\n"),
		}, 8192},
		"version 1": {fstest.MapFS{
			"proc/meminfo": info, "proc/self/cgroup": file("5:cpu:/x\n4:memory:/x\n"),
			"sys/fs/cgroup/memory/memory.limit_in_bytes":   file("9223372036854771712\n"),
			"sys/fs/cgroup/memory/x/memory.limit_in_bytes": file("12288\n"),
		}, 12288},
		"more than the machine has": {fstest.MapFS{
			"proc/meminfo": info, "proc/self/cgroup": file("0::/\n"), "sys/fs/cgroup/memory.max": file("99999999999\n"),
		}, 1000 << 10},
	} {
		unknown := func() (int64, bool) { return 0, false }
		if got := app.ProcessMemory(c.files, unknown); got != c.want {
			t.Errorf("%s: got %d, want %d", name, got, c.want)
		}
	}
}
