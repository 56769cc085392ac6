package main

import (
	"runtime"
	"runtime/debug"

	"github.com/alecthomas/kong"
)

// release is set when a release is built, with -ldflags "-X main.release=v1.2.3".
var release string

// versionCmd prints the version.
type versionCmd struct{}

// Run prints the version of this program, not of the server.
func (*versionCmd) Run(s *session) error {
	v := version()
	if s.json() {
		return s.printValue(map[string]string{"version": v, "go": runtime.Version(), "os": runtime.GOOS, "arch": runtime.GOARCH})
	}
	return s.printf("keywatch %s %s %s/%s\n", v, runtime.Version(), runtime.GOOS, runtime.GOARCH)
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
