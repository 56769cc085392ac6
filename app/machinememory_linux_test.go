package app_test

import (
	"fmt"
	"math"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"keywatch/app"
)

// hideProcesses is set for the process that TestMemoryOfHiddenProc starts.
const hideProcesses = "KEYWATCH_TEST_HIDE_PROC"

// Where systemd hides /proc/meminfo (ProcSubset=pid), a server that did not know how much memory
// there is would take all of it.
func TestMemoryOfHiddenProc(t *testing.T) {
	if os.Getenv(hideProcesses) != "" {
		printHiddenMemory()
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run", "^TestMemoryOfHiddenProc$", "-test.v")
	cmd.Env = append(os.Environ(), hideProcesses+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID}
	out, err := cmd.CombinedOutput()
	if strings.Contains(string(out), "cannot hide") || os.Geteuid() != 0 && err != nil {
		t.Skipf("no mount namespace to be had here: %v: %s", err, out)
	}
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	_, text, _ := strings.Cut(string(out), "memory ")
	text, _, _ = strings.Cut(text, "\n")
	got, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if want := app.ProcessMemory(os.DirFS("/"), app.MachineMemory); got <= 0 || got == math.MaxInt64 || got > want {
		t.Errorf("got %d bytes, want at most the %d that are seen without hiding", got, want)
	}
}

// printHiddenMemory prints what the process may use once /proc shows nothing but processes.
func printHiddenMemory() {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		fmt.Println("cannot hide:", err)
		return
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, "subset=pid"); err != nil {
		fmt.Println("cannot hide:", err)
		return
	}
	if _, err := os.Stat("/proc/meminfo"); err == nil {
		fmt.Println("cannot hide: /proc/meminfo is still there")
		return
	}
	fmt.Println("memory", app.ProcessMemory(os.DirFS("/"), app.MachineMemory))
}
