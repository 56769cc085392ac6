package persist

import (
	"bytes"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// openResident opens what resident reads; nil if the system does not say.
func openResident() *os.File {
	f, err := os.Open("/proc/self/statm")
	if err != nil {
		return nil
	}
	return f
}

// resident returns how many bytes of files this process has mapped and in memory;
// 0 if that is not known.
func (m *mapped) resident() int64 {
	var buf [128]byte
	if m.own == nil {
		return 0
	}
	n, _ := m.own.ReadAt(buf[:], 0) // short, so io.EOF
	fields := bytes.Fields(buf[:n])
	if len(fields) < 3 {
		return 0
	}
	pages, err := strconv.ParseInt(string(fields[2]), 10, 52)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}

// giveBack takes the pages of a mapped file out of this process's memory. An error
// would mean that they stay.
func giveBack(at, size uintptr) {
	_, _, _ = unix.Syscall(unix.SYS_MADVISE, at, size, unix.MADV_DONTNEED)
}
