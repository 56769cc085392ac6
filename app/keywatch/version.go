package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/alecthomas/kong"
)

// These are set when a release is built, with -ldflags "-X main.release=v1.2.3 -X main.commit=HASH
// -X main.date=TIME". Without them commit and date are what go build knows of the checkout.
var release, commit, date string

// versionCmd prints the version.
type versionCmd struct{}

// Run prints the version of this program, not of the server.
func (*versionCmd) Run(s *session) error {
	b := readBuild()
	if s.json() {
		return s.printValue(b)
	}
	return s.printf("%s", b)
}

// A build is what a program knows of itself. Commit and Date are empty where it was built
// from no checkout.
type build struct {
	Version string `json:"version"`
	// Commit is the commit's hash, Date its time (RFC 3339); Modified says that files differed
	// from it.
	Commit   string `json:"commit,omitempty"`
	Date     string `json:"date,omitempty"`
	Modified bool   `json:"modified,omitempty"`
	Go       string `json:"go"`
	OS       string `json:"os"`
	Arch     string `json:"arch"`
}

// readBuild returns what this program knows of itself.
func readBuild() build {
	b := build{Version: version(), Commit: commit, Date: date, Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH}
	if info, ok := debug.ReadBuildInfo(); ok && commit == "" {
		b.readSettings(info)
	}
	return b
}

// readSettings reads what go build knows of the checkout.
func (b *build) readSettings(info *debug.BuildInfo) {
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Commit = s.Value
		case "vcs.time":
			b.Date = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
}

// String returns the build in a line or two.
func (b build) String() string {
	line := fmt.Sprintf("keywatch %s %s %s/%s\n", b.Version, b.Go, b.OS, b.Arch)
	if b.Commit == "" {
		return line
	}
	line += "commit " + b.Commit
	if b.Date != "" {
		line += " of " + b.Date
	}
	if b.Modified {
		line += ", with changes that are not in it"
	}
	return line + "\n"
}

// versionFlag is the flag that does what versionCmd does.
type versionFlag bool

// BeforeReset prints the version, whatever else the command line has, and ends the
// command.
func (versionFlag) BeforeReset(parsed *kong.Context, s *session) error {
	s.cli.Output = outputAsked(parsed.Args)
	code := s.report(new(versionCmd).Run(s))
	panic(exited(code))
}

// version returns the release, or else what the build knows of its source.
func version() string {
	if release != "" {
		return release
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
