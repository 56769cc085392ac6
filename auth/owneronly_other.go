//go:build !unix

package auth

import "io/fs"

// OwnerOnly reports whether nobody may read a file but its owner, as far as its mode says that: on
// systems without modes it is true.
func OwnerOnly(fs.FileInfo) bool { return true }
