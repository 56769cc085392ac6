//go:build unix

package main

import (
	"os"
	"os/exec"
	"runtime"
	"syscall"
)

// hashCommand returns the command by which a server has passwords hashed: this program in a process group
// of its own, so that a terminal's signals are for the server alone. It needs nothing of the environment,
// which may have secrets.
func hashCommand() *exec.Cmd {
	path, err := os.Executable()
	if runtime.GOOS == "linux" {
		path = "/proc/self/exe" // this program, even if another was installed in its place
	} else if err != nil {
		return exec.Command("") // it fails to start with a reason, and the server hashes
	}
	cmd := exec.Command(path, hashArgument)
	cmd.Args[0] = "keywatch"
	cmd.Env = []string{"GOMAXPROCS=1"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

// yieldProcessor gives all threads of this process the least priority, so that every other process that
// has something to do goes first. Where that is not permitted it runs as others do.
func yieldProcessor() { _ = syscall.Setpriority(syscall.PRIO_PGRP, 0, 19) }
