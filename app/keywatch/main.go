// Command keywatch runs the keywatch server and talks to it.
//
// The client commands use plain HTTP, which curl can send as well. They add retries
// that cannot apply a write twice, watches that reconnect and resume, readable
// output, and exit codes for scripts.
//
// What all commands have in common is in one place each: outfile.go writes files
// that were named, child.go runs commands, logwriter.go writes logs and messages,
// problem.go reports errors and has the exit codes.
package main

import "os"

func main() {
	if len(os.Args) == 2 && os.Args[1] == hashArgument {
		os.Exit(hashPasswords())
	}
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
