package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// clockTick is the unit of times in /proc.
const clockTick = 10 * time.Millisecond

// A usage is what a process has used: processor time, and bytes of memory that it has now.
type usage struct {
	cpu time.Duration
	rss int64
}

// usageOf returns what a process has used.
func usageOf(pid int) (u usage, err error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return u, err
	}
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:])) // the name may hold anything
	if len(fields) < 22 {
		return u, fmt.Errorf("/proc/%d/stat is too short", pid)
	}
	var n [3]int64
	for i, at := range [3]int{11, 12, 21} { // user, system, pages
		if n[i], err = strconv.ParseInt(fields[at], 10, 64); err != nil {
			return u, err
		}
	}
	return usage{time.Duration(n[0]+n[1]) * clockTick, n[2] * int64(os.Getpagesize())}, nil
}

// counted returns run, and what returns how many microseconds of processor time each operation of the
// last run took.
func counted(pid int, run func() (float64, error)) (counts, cpu func() (float64, error)) {
	var each float64
	counts = func() (float64, error) {
		before, err := usageOf(pid)
		if err != nil {
			return 0, err
		}
		began := time.Now()
		rate, err := run()
		if err != nil {
			return 0, err
		}
		after, err := usageOf(pid)
		each = (after.cpu - before.cpu).Seconds() * 1e6 / (rate * time.Since(began).Seconds())
		return rate, err
	}
	return counts, func() (float64, error) { return each, nil }
}
