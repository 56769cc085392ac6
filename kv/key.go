package kv

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// MaxKey is the largest length of a key or prefix, in bytes.
const MaxKey = 1024

// ReservedPrefix begins the keys that only lock requests may write.
const ReservedPrefix = "locks/"

// A KeyError says why a text is not a key. It matches ErrBadKey.
type KeyError struct {
	Key    string
	Reason string
}

func (e *KeyError) Error() string { return fmt.Sprintf("bad key %.80q: %s", e.Key, e.Reason) }

// Is reports whether target is ErrBadKey.
func (e *KeyError) Is(target error) bool { return target == ErrBadKey }

// CheckKey returns a *KeyError unless key is UTF-8, 1 to MaxKey bytes, free of
// control characters, and without an empty, "." or ".." segment between
// slashes.
func CheckKey(key string) error {
	if key == "" {
		return &KeyError{key, "it is empty"}
	}
	if err := checkText(key); err != nil {
		return err
	}
	if len(key) > 1 && key[len(key)-1] == '/' {
		return &KeyError{key, "it ends with a slash"}
	}
	if reason := badSegment(key); reason != "" {
		return &KeyError{key, reason}
	}
	return nil
}

// badSegment returns what is wrong with a segment of key, "" if nothing is.
func badSegment(key string) string {
	start := 0
	for i := 0; i <= len(key); i++ {
		if i < len(key) && key[i] != '/' {
			continue
		}
		switch key[start:i] {
		case "":
			return "a segment between slashes is empty"
		case ".", "..":
			return `"." and ".." are not allowed as segments`
		}
		start = i + 1
	}
	return ""
}

// CheckPrefix returns a *KeyError unless prefix can begin a key. The empty
// prefix, which every key begins with, is allowed.
func CheckPrefix(prefix string) error {
	if prefix == "" {
		return nil
	}
	if err := checkText(prefix); err != nil {
		return err
	}
	end := strings.LastIndexByte(prefix, '/')
	if end < 0 {
		return nil
	}
	if reason := badSegment(prefix[:end]); reason != "" {
		return &KeyError{prefix, reason}
	}
	return nil
}

// checkText checks what holds for every byte of a key or prefix.
func checkText(key string) error {
	if len(key) > MaxKey {
		return &KeyError{key, fmt.Sprintf("it has %d bytes, %d are allowed", len(key), MaxKey)}
	}
	ascii := true
	for i := range len(key) {
		c := key[i]
		if c < 0x20 || c == 0x7f {
			return &KeyError{key, "it has a control character"}
		}
		if c >= utf8.RuneSelf {
			ascii = false
		}
	}
	if ascii {
		return nil
	}
	if !utf8.ValidString(key) {
		return &KeyError{key, "it is not UTF-8"}
	}
	for _, r := range key {
		if r >= 0x80 && r < 0xa0 {
			return &KeyError{key, "it has a control character"}
		}
	}
	return nil
}
