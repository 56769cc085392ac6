// Command keywatch runs the keywatch server and talks to it.
//
// The client commands speak plain HTTP, as anybody could with curl; they add
// retries that cannot apply a write twice, watching that comes back by itself,
// readable output, and exit codes for scripts.
package main

import "os"

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }
