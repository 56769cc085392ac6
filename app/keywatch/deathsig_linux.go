package main

import "syscall"

// dieTogether has a command killed when this process is killed.
func dieTogether(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGKILL }
