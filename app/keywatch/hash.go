package main

import (
	"fmt"
	"os"

	"keywatch/app"
)

// hashArgument has this program hash passwords for the server that has started it. It is no command:
// its input and output are for the server only.
const hashArgument = "hash-passwords"

// hashPasswords hashes until the server closes standard input, and returns the exit code.
func hashPasswords() int {
	yieldProcessor()
	if err := app.ServeHashes(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "keywatch:", err)
		return exitFailed
	}
	return 0
}
