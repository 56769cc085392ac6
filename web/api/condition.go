package api

import (
	"strings"

	"keywatch/kv"
)

// AppendETag appends the entity tag of a version: its epoch and revision.
func AppendETag(b []byte, epoch kv.Epoch, rev kv.Rev) []byte {
	b = append(b, '"')
	b = kv.Position{Epoch: epoch, Rev: rev}.AppendTo(b)
	return append(b, '"')
}

// ParseETag reads one entity tag; W/ is allowed and means nothing here.
func ParseETag(text string) (kv.Position, bool) {
	text = strings.TrimPrefix(text, "W/")
	if len(text) < 2 || text[0] != '"' || text[len(text)-1] != '"' {
		return kv.Position{}, false
	}
	p, err := kv.ParsePosition(text[1 : len(text)-1])
	return p, err == nil
}

// CheckVersion returns the check that key is the version tag, as epoch counts
// revisions. A tag of another epoch matches nothing.
func CheckVersion(key string, tag kv.Position, epoch kv.Epoch) kv.Check {
	check := kv.Check{Kind: kv.CheckRev, Key: key, N: uint64(tag.Rev)}
	// No version has revision 0, which to a check means that the key is absent.
	if tag.Rev == 0 || tag.Epoch != epoch {
		check.N = kv.NeverRev
	}
	return check
}

// CheckPresent returns the check that key exists, CheckAbsent that it does not.
func CheckPresent(key string) kv.Check { return kv.Check{Kind: kv.CheckExists, Key: key, N: 1} }

// CheckAbsent returns the check that key does not exist.
func CheckAbsent(key string) kv.Check { return kv.Check{Kind: kv.CheckRev, Key: key} }

// CheckIdemKey fails if key cannot be an idempotency key, which the protocol
// calls name.
func CheckIdemKey(name, key string) error {
	if len(key) == 0 || len(key) > MaxIdemKey {
		return Refuse(CodeBadParameter, "%s: expected 1 to %d characters", name, MaxIdemKey)
	}
	for i := range len(key) {
		if key[i] <= ' ' || key[i] > '~' {
			return Refuse(CodeBadParameter, "%s: expected visible ASCII characters", name)
		}
	}
	return nil
}
