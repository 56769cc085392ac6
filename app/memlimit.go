package app

import (
	"bytes"
	"io/fs"
	"math"
	"os"
	"path"
	"runtime/debug"
	"strconv"
	"strings"
)

// processMemory returns how many bytes of memory this process may use: the
// machine's, or less if a control group says so (version 2, or 1), or
// math.MaxInt64 if neither can be read. root is the file system's root; machine tells
// of the machine where /proc/meminfo is hidden, as systemd's ProcSubset=pid does.
func processMemory(root fs.FS, machine func() (int64, bool)) int64 {
	limit := int64(math.MaxInt64)
	total, ok := memTotal(root)
	if !ok {
		total, ok = machine()
	}
	if ok {
		limit = total
	}
	groups, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return limit
	}
	for line := range strings.Lines(string(groups)) {
		limit = min(limit, groupLimit(root, strings.TrimSpace(line)))
	}
	return limit
}

// memTotal returns the memory of the machine.
func memTotal(root fs.FS) (int64, bool) {
	info, err := fs.ReadFile(root, "proc/meminfo")
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(info)) {
		fields := strings.Fields(line)
		if len(fields) == 3 && fields[0] == "MemTotal:" && fields[2] == "kB" {
			kb, err := strconv.ParseInt(fields[1], 10, 54)
			return kb << 10, err == nil
		}
	}
	return 0, false
}

// groupLimit returns the limit that a line of /proc/self/cgroup leads to, which
// is "hierarchy:controllers:path". A group's ancestors bound it too; within a
// container the path may lead nowhere, and the root is the container's.
func groupLimit(root fs.FS, line string) int64 {
	parts := strings.SplitN(line, ":", 3)
	if len(parts) != 3 {
		return math.MaxInt64
	}
	base, name := "sys/fs/cgroup", "memory.max"
	if parts[1] != "" { // version 1
		if !hasController(parts[1], "memory") {
			return math.MaxInt64
		}
		base, name = "sys/fs/cgroup/memory", "memory.limit_in_bytes"
	}
	limit := int64(math.MaxInt64)
	for dir := path.Join("/", parts[2]); ; dir = path.Dir(dir) {
		limit = min(limit, readLimit(root, path.Join(base, dir, name)))
		if dir == "/" {
			return limit
		}
	}
}

func hasController(list, name string) bool {
	for c := range strings.SplitSeq(list, ",") {
		if c == name {
			return true
		}
	}
	return false
}

// readLimit reads a file with a number of bytes; anything else is no limit.
func readLimit(root fs.FS, name string) int64 {
	b, err := fs.ReadFile(root, name)
	if err != nil {
		return math.MaxInt64
	}
	n, err := strconv.ParseInt(string(bytes.TrimSpace(b)), 10, 64)
	if err != nil || n <= 0 {
		return math.MaxInt64
	}
	return n
}

// heapSpare is what a process may take beside --memory-max and half of it again:
// what is in flight, buffers, the log's index.
const heapSpare = 64 << 20

// ownMemory is the part of heapSpare that the collector does not see: the program's
// variables, and what the limit, which is a soft one, is exceeded by.
const ownMemory = 8 << 20

// boundHeap has the garbage collector keep the heap near what the limit accounts
// for, instead of twice that, unless the environment says otherwise. It returns a
// func that undoes it.
func boundHeap(limit int64) (undo func()) {
	if os.Getenv("GOMEMLIMIT") != "" || limit > math.MaxInt64/2 {
		return func() {}
	}
	before := debug.SetMemoryLimit(limit + limit/2 + heapSpare - ownMemory)
	return func() { debug.SetMemoryLimit(before) }
}
