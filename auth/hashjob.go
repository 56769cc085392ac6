package auth

import (
	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

// A hashJob is a password that is to be hashed with argon2id or, if Bcrypt is set, compared with
// that hash.
type hashJob struct {
	Password     []byte
	Bcrypt       string `json:",omitempty"`
	Memory, Time uint32 // KiB and passes
	Threads      uint8
	Salt         []byte
	Size         uint32
}

// A hashResult is what a hashJob came to.
type hashResult struct {
	Key []byte
	// Same says that the password is the one in Bcrypt.
	Same bool
}

func argonJob(password string, params argonParams, salt []byte, size int) *hashJob {
	return &hashJob{
		Password: []byte(password), Memory: params.memory, Time: params.time, Threads: params.threads,
		Salt: salt, Size: uint32(size),
	}
}

// bcryptJob compares as much of a password as bcrypt looks at.
func bcryptJob(password, text string) *hashJob {
	return &hashJob{Password: []byte(password)[:min(len(password), 72)], Bcrypt: text}
}

func (j *hashJob) run() hashResult {
	if j.Bcrypt != "" {
		return hashResult{Same: bcrypt.CompareHashAndPassword([]byte(j.Bcrypt), j.Password) == nil}
	}
	return hashResult{Key: argon2.IDKey(j.Password, j.Salt, j.Time, j.Memory, j.Threads, j.Size)}
}
