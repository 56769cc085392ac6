// Command rename moves this module to another path: in go.mod files, imports,
// documents and examples. It is run in the root of the module with the new path,
// and changes files in place.
package main

import (
	"errors"
	"fmt"
	"os"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: go run ./test/rename PATH")
		os.Exit(2)
	}
	changed, err := rename(".", os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, "rename:", err)
		os.Exit(1)
	}
	fmt.Printf("%d files changed\n", changed)
}

// rename moves the module in root to a path. It returns how many files it changed.
func rename(root, to string) (changed int, err error) {
	r, err := newRenamer(root, to)
	if err != nil {
		return 0, err
	}
	files, err := r.files()
	if err != nil {
		return 0, err
	}
	for _, f := range files {
		did, renameErr := r.file(f)
		if did {
			changed++
		}
		err = errors.Join(err, renameErr)
	}
	return changed, err
}
