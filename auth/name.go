package auth

import (
	"errors"
	"fmt"
)

// MaxName is the largest name of a user or role in bytes.
const MaxName = 64

// ErrBadName is returned when a text cannot be the name of a user or role.
var ErrBadName = errors.New("malformed name: expected 1 to 64 of a-z, 0-9, dot, dash, underscore and @, beginning with a letter or digit")

// FoldName returns the name of a user or role in lower case: names are compared so. It fails with
// an error that matches ErrBadName. A name has no slash, so that it cannot leave its segment of a
// key.
func FoldName(name string) (string, error) {
	if name == "" || len(name) > MaxName {
		return "", fmt.Errorf("%w: %.80q", ErrBadName, name)
	}
	b := []byte(name)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
			b[i] = c
		}
		alnum := c >= 'a' && c <= 'z' || c >= '0' && c <= '9'
		if !alnum && (i == 0 || c != '.' && c != '_' && c != '@' && c != '-') {
			return "", fmt.Errorf("%w: %.80q", ErrBadName, name)
		}
	}
	return string(b), nil
}
