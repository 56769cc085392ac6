package fanout

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// usage is what processes use together.
type usage struct {
	rss int64 // bytes
	cpu time.Duration
	fds int
}

// clockTick is the unit of times in /proc, which Linux has fixed for programs.
const clockTick = 10 * time.Millisecond

// measureAll adds up what the processes use.
func measureAll(pids []int) (u usage, err error) {
	for _, pid := range pids {
		one, err := measure(pid)
		if err != nil {
			return usage{}, err
		}
		u.rss += one.rss
		u.cpu += one.cpu
		u.fds += one.fds
	}
	return u, nil
}

func measure(pid int) (u usage, err error) {
	dir := fmt.Sprintf("/proc/%d", pid)
	stat, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return u, err
	}
	// The name, in parentheses, may hold anything.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 22 {
		return u, fmt.Errorf("%s/stat is too short", dir)
	}
	user, err1 := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	pages, err3 := strconv.ParseInt(fields[21], 10, 64)
	if err1 != nil || err2 != nil || err3 != nil {
		return u, fmt.Errorf("%s/stat holds no numbers", dir)
	}
	u.cpu = time.Duration(user+system) * clockTick
	u.rss = pages * int64(os.Getpagesize())
	if names, err := os.ReadDir(dir + "/fd"); err == nil {
		u.fds = len(names)
	}
	return u, nil
}

// listeners returns the processes that listen on a loopback or wildcard address
// with a's port, as far as they can be seen; none if a is elsewhere.
func listeners(a netip.AddrPort) (pids []int) {
	if !a.Addr().IsLoopback() {
		return nil
	}
	inodes := map[string]bool{}
	for _, file := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		table, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(table)) {
			f := strings.Fields(line)
			if len(f) > 9 && f[3] == "0A" && strings.HasSuffix(f[1], fmt.Sprintf(":%04X", a.Port())) {
				inodes["socket:["+f[9]+"]"] = true
			}
		}
	}
	dirs, _ := filepath.Glob("/proc/[0-9]*/fd")
	for _, dir := range dirs {
		if holds(dir, inodes) {
			pid, _ := strconv.Atoi(strings.Split(dir, "/")[2])
			pids = append(pids, pid)
		}
	}
	return pids
}

func holds(dir string, inodes map[string]bool) bool {
	names, _ := os.ReadDir(dir)
	for _, n := range names {
		if link, err := os.Readlink(filepath.Join(dir, n.Name())); err == nil && inodes[link] {
			return true
		}
	}
	return false
}
