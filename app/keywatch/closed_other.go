//go:build !unix

package main

import "os"

// isClosed reports whether f, a standard file, was closed when the process started.
func isClosed(f *os.File) bool {
	_, err := f.Stat()
	return err != nil
}
