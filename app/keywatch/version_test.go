package main

import (
	"runtime/debug"
	"testing"
)

// Without the commit no operator can tell which source a program that fails was built from.
func TestVersionSaysCommit(t *testing.T) {
	b := build{Version: "v1.2.3", Go: "go1.26", OS: "linux", Arch: "amd64"}
	if got, want := b.String(), "keywatch v1.2.3 go1.26 linux/amd64\n"; got != want {
		t.Errorf("without a checkout: got %q, want %q", got, want)
	}
	b.readSettings(&debug.BuildInfo{Settings: []debug.BuildSetting{
		{Key: "vcs.revision", Value: "0123abcd"}, {Key: "vcs.time", Value: "2026-11-30T13:00:00Z"}, {Key: "vcs.modified", Value: "true"},
	}})
	want := "keywatch v1.2.3 go1.26 linux/amd64\ncommit 0123abcd of 2026-11-30T13:00:00Z, with changes that are not in it\n"
	if got := b.String(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
