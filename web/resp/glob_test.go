package resp

import (
	"strings"
	"testing"
)

// plainMatch is the matcher of Redis as it is written in its documentation: by trying all.
func plainMatch(p, s string) bool {
	if p == "" {
		return s == ""
	}
	if p[0] == '*' {
		return plainMatch(p[1:], s) || s != "" && plainMatch(p, s[1:])
	}
	if s == "" {
		return false
	}
	n, ok := glob(p).one(s[0])
	return ok && plainMatch(p[n:], s[1:])
}

func FuzzGlob(f *testing.F) {
	for _, p := range []string{"*", "a*b?c", "[a-c]*", "[^a]", "[]", "[a", "\\*", "**a", "a\\"} {
		f.Add(p, "abc")
	}
	f.Fuzz(func(t *testing.T, p, s string) {
		if len(p) > 12 || len(s) > 12 {
			return
		}
		got, want := glob(p).match(s), plainMatch(p, s)
		if got != want {
			t.Errorf("%q of %q: got %v, want %v", p, s, got, want)
		}
		if lit := glob(p).literal(); got && !strings.HasPrefix(s, lit) {
			t.Errorf("%q matches %q, which does not begin with %q", p, s, lit)
		}
	})
}

// A pattern must not take longer than its length times that of the key.
func TestGlobIsQuick(t *testing.T) {
	p, s := glob(strings.Repeat("*?", 50_000)+"b"), strings.Repeat("a", 1024)
	if p.match(s) {
		t.Error("it matches")
	}
	if !glob(strings.Repeat("a*", 100) + "b").match(strings.Repeat("a", 500) + "b") {
		t.Error("it does not match")
	}
}
