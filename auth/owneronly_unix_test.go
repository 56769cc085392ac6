//go:build unix

package auth_test

import (
	"io/fs"
	"syscall"
	"testing"
	"time"

	"keywatch/auth"
)

// An ownedFile is a file of a user.
type ownedFile struct {
	mode fs.FileMode
	user uint32
}

func (f ownedFile) Name() string       { return "key" }
func (f ownedFile) Size() int64        { return 0 }
func (f ownedFile) Mode() fs.FileMode  { return f.mode }
func (f ownedFile) ModTime() time.Time { return time.Time{} }
func (f ownedFile) IsDir() bool        { return false }
func (f ownedFile) Sys() any           { return &syscall.Stat_t{Uid: f.user} }

// A key that others may read must be refused; one that systemd or Kubernetes hands to the group of a
// service must not.
func TestOwnerOnly(t *testing.T) {
	for _, c := range []struct {
		file ownedFile
		user int
		want bool
	}{
		{ownedFile{0o600, 65532}, 65532, true},
		{ownedFile{0o400, 65532}, 65532, true},
		{ownedFile{0o640, 65532}, 65532, false},
		{ownedFile{0o604, 65532}, 65532, false},
		{ownedFile{0o440, 0}, 65532, true},
		{ownedFile{0o460, 0}, 65532, false},
		{ownedFile{0o444, 0}, 65532, false},
		{ownedFile{0o440, 0}, 0, false},
		{ownedFile{0o600, 0}, 0, true},
	} {
		if got := auth.OwnerOnlyFor(c.file, c.user); got != c.want {
			t.Errorf("%v of user %d, read by %d: got %v, want %v", c.file.mode, c.file.user, c.user, got, c.want)
		}
	}
}
