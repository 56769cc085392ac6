//go:build unix

package main

import (
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// own puts a command into a process group of its own, in the foreground of the
// terminal if there is one. On Linux it is killed should this process be.
func own(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	dieTogether(cmd.SysProcAttr)
	if f, ok := cmd.Stdin.(*os.File); ok && foreground(int(f.Fd())) {
		cmd.SysProcAttr.Foreground, cmd.SysProcAttr.Ctty = true, int(f.Fd())
	}
}

// foreground reports whether fd is a terminal whose foreground is this group.
func foreground(fd int) bool {
	group, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP)
	return err == nil && group == syscall.Getpgrp()
}

// reclaim takes the terminal back after the command has ended.
func reclaim(cmd *exec.Cmd) {
	if cmd.SysProcAttr.Foreground {
		signal.Ignore(syscall.SIGTTOU)
		defer signal.Reset(syscall.SIGTTOU)
		_ = unix.IoctlSetPointerInt(cmd.SysProcAttr.Ctty, unix.TIOCSPGRP, syscall.Getpgrp())
	}
}

// signalGroup sends sig to all processes of the command's group.
func signalGroup(cmd *exec.Cmd, sig syscall.Signal) { _ = syscall.Kill(-cmd.Process.Pid, sig) }
