//go:build unix && !linux

package main

import "syscall"

// dieTogether does nothing: here a command outlives this process if that is killed.
func dieTogether(*syscall.SysProcAttr) {}
