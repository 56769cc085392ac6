package kv

import "testing"

// If a kind of command had no level, or another one than it is logged under, a member of an older release would get what
// it cannot apply.
func TestEachKindHasALevel(t *testing.T) {
	prefix := "a/"
	for name, c := range map[string]*Command{
		"batch": {Ops: []Op{{Kind: OpPut, Key: "a"}}}, "prefix": {Prefix: &prefix},
		"lease": {Lease: &LeaseCommand{}}, "lock": {Lock: &LockCommand{}}, "add": {Ops: []Op{{Kind: OpAdd, Key: "a"}}},
		"touch": {Ops: []Op{{Kind: OpTouch, Key: "a"}}}, "refer": {Refer: &Refer{}}, "private": {Private: &PrivateCommand{}},
		"since": {Checks: []Check{{Kind: CheckUnchanged, Key: "a", N: 1}}},
	} {
		kind := EncodeEntry(0, c)[entryHeaderSize]
		if level, ok := levels[kind]; !ok || c.Level() != level || level < MinLevel {
			t.Errorf("%s is logged as kind %d, which has level %d, and says level %d", name, kind, level, c.Level())
		}
	}
}
