package resp

import (
	"math/rand/v2"
	"strings"
	"testing"

	"keywatch/kv"
	"keywatch/test/gate"
)

// What a name is stored as is in files and seen over HTTP: another spelling would be another key.
func TestEscapedNames(t *testing.T) {
	for name, want := range map[string]string{
		"a": "a", "a/b:c": "a/b:c", "": "%", "%": "%25", "a%b": "a%25b", "%41": "%2541", "cache:https://x/": "cache:https:/%2Fx%2F",
		"/": "%2F", "//": "%2F%2F", "///": "%2F/%2F", "/a": "%2Fa", "a/": "a%2F", "a//": "a/%2F", "a//b": "a/%2Fb", "a///b": "a/%2F/b",
		".": "%2E", "..": "%2E%2E", "...": "...", "./": ".%2F", "../a": "%2E%2E/a", "a/.": "a/%2E", "a/./b": "a/%2E/b", "a/..": "a/%2E%2E", "a/.b": "a/.b",
		"a/.//b": "a/%2E/%2Fb", ".//": "%2E/%2F", "\x00": "%00", "a\n\x7f": "a%0A%7F", "é€": "é€", "\xff\xfe": "%FF%FE", "\xe2\x82": "%E2%82", "a\u0085b": "a%C2%85b",
		"\ufffd": "\ufffd", "locks/a": "locks/a", "locks/": "locks%2F", "%raw:a%zz": "a%zz", "%raw:a%41": "a%41", "%raw:%raw:": "%raw:",
	} {
		key, err := escaped([]byte(name))
		if err != nil || string(key) != want {
			t.Errorf("%q: got %q, %v, want %q", name, key, err, want)
		}
		if err := kv.CheckKey(want); err != nil {
			t.Errorf("%q: %v", want, err)
		}
		if got := unescaped(want); got != name {
			t.Errorf("%q: got %q, want %q", want, got, name)
		}
	}
	for _, name := range []string{"%raw:", "%raw:a", "%raw:a%25", "%raw:%2F", "%raw:a/b", strings.Repeat("a", kv.MaxKey+6)} {
		if key, err := escaped([]byte(name)); err == nil {
			t.Errorf("%q: got %q, want it refused", name, key)
		}
	}
}

// roundTrip reports what is wrong with how a name is stored, and with how a stored key is named.
func roundTrip(t *testing.T, s string) {
	t.Helper()
	if key, err := escaped([]byte(s)); err == nil && kv.CheckKey(string(key)) == nil {
		if got := unescaped(string(key)); got != s {
			t.Errorf("%q is stored as %q, which is called %q", s, key, got)
		}
	} else if len(s) <= kv.MaxKey/3 && !strings.HasPrefix(s, strayMark) {
		t.Errorf("%q is stored as %q, %v, %v", s, key, err, kv.CheckKey(string(key)))
	}
	if kv.CheckKey(s) == nil {
		name := unescaped(s)
		if key, err := escaped([]byte(name)); err != nil || string(key) != s {
			t.Errorf("%q is called %q, which is stored as %q, %v", s, name, key, err)
		}
	}
}

// under reports what is wrong with what the stored keys begin with whose names begin with a prefix.
func under(t *testing.T, prefix, rest string) {
	t.Helper()
	stored, also, exact := escapedUnder(prefix)
	name := prefix + rest
	if key, err := escaped([]byte(name)); err == nil && !strings.HasPrefix(string(key), stored) && string(key) != also {
		t.Errorf("%q is stored as %q, not under %q nor as %q, as what begins with %q", name, key, stored, also, prefix)
	}
	if exact && len(stored) <= kv.MaxKey && kv.CheckPrefix(stored) != nil {
		t.Errorf("%q: nothing can be watched under %q", prefix, stored)
	}
	if name := unescaped(also); also != "" && name != prefix {
		t.Errorf("%q is called %q, want %q", also, name, prefix)
	}
	if key := stored + rest; exact && kv.CheckKey(key) == nil {
		if name := unescaped(key); !strings.HasPrefix(name, prefix) && !strings.HasPrefix(name, strayMark) {
			t.Errorf("%q is called %q, which does not begin with %q", key, name, prefix)
		}
	}
}

// pieces are what random names are made of: what is escaped, and what only looks so.
var pieces = []string{"/", "/", ".", "..", "%", "%2", "%2F", "%25", "%41", "%raw:", "a", "b", "\x00", "\xc3", "\xa9", "é", "\xe2\x82", "\xac", "€", "\u0085", "\xff", "locks"}

// Each name must have one stored key and each stored key one name, or a client would overwrite what it
// does not see.
func TestNamesRoundTrip(t *testing.T) {
	random := rand.New(rand.NewPCG(gate.Seed(t), 19))
	made := func() string {
		var b strings.Builder
		for range random.IntN(7) {
			b.WriteString(pieces[random.IntN(len(pieces))])
		}
		return b.String()
	}
	names := make(map[string]string)
	for range 50_000 {
		name, rest := made(), made()
		roundTrip(t, name)
		under(t, name, rest)
		key, err := escaped([]byte(name))
		if had, ok := names[string(key)]; err == nil && ok && had != name {
			t.Fatalf("%q and %q are both stored as %q", had, name, key)
		}
		if err == nil {
			names[string(key)] = name
		}
		if t.Failed() {
			return
		}
	}
}

func FuzzNames(f *testing.F) {
	for _, p := range pieces {
		f.Add(p, "a//"+p)
	}
	f.Fuzz(func(t *testing.T, prefix, rest string) {
		roundTrip(t, prefix+rest)
		under(t, prefix, rest)
	})
}

// A name that is its own key must cost nothing but a look at it.
func TestPlainNamesAreNotCopied(t *testing.T) {
	name := []byte("user:1000/name")
	n := names{escape: true}
	cmd, args := &command{name: "get", first: 1, last: 1, step: 1}, [][]byte{[]byte("get"), name}
	if got := testing.AllocsPerRun(100, func() { _ = escape(name, false); _ = n.shown("user:1000/name") }); got != 0 {
		t.Errorf("got %v allocations, want none", got)
	}
	if got := testing.AllocsPerRun(100, func() { _ = names{}.store(cmd, args) }); got != 0 {
		t.Errorf("strict: got %v allocations, want none", got)
	}
}
