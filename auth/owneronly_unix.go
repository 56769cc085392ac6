//go:build unix

package auth

import (
	"io/fs"
	"os"
	"syscall"
)

// OwnerOnly reports whether only its owner may read a file and, of a file of root that another user
// reads, its group. In that way systemd and Kubernetes give secrets to a service.
func OwnerOnly(info fs.FileInfo) bool { return ownerOnly(info, os.Geteuid()) }

// ownerOnly is OwnerOnly for a user.
func ownerOnly(info fs.FileInfo, user int) bool {
	others := info.Mode().Perm() & 0o077
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && stat.Uid == 0 && user != 0 {
		return others&^0o040 == 0
	}
	return others == 0
}
