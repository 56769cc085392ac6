// Command release makes everything that is given away of one version of keywatch:
// archives for each system, packages for Debian and Red Hat, a container image,
// lists of components and licences, checksums, and a signature where a key is given.
//
// All of it is a function of the commit and the toolchain: no file holds the time of
// the build, the name of the machine or a path on it, so anyone can build a release
// again and compare.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	o := Options{Log: os.Stdout}
	flags := flag.NewFlagSet("release", flag.ExitOnError)
	flags.StringVar(&o.Version, "version", "", "version, such as v0.1.0")
	flags.StringVar(&o.Root, "root", "..", "root of the source")
	flags.StringVar(&o.Out, "out", "../dist", "folder for the results; it is emptied first")
	flags.StringVar(&o.Key, "key", "", "private SSH key to sign the checksums with")
	flags.StringVar(&o.Maintainer, "maintainer", "keywatch maintainers <maintainers@keywatch.example.org>", "whom packages name")
	flags.BoolVar(&o.Dirty, "dirty", false, "build although the source differs from its commit")
	targets := flags.String("targets", "", "systems to build for, such as linux/amd64,windows/arm64; default all")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *targets != "" {
		o.Targets = strings.Split(*targets, ",")
	}
	return Make(ctx, o)
}
