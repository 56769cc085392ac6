package main

import (
	"strings"
	"testing"
)

// If a preview let control characters through, a value could rewrite the
// terminal, or look like another line.
func TestPreview(t *testing.T) {
	for in, want := range map[string]string{
		"21.5":                   "21.5",
		"two words":              "two words",
		"":                       `""`,
		" x":                     `" x"`,
		"a\nb":                   `"a\nb"`,
		"\x1b[2J":                `"\x1b[2J"`,
		"\xff\x00":               "<2 bytes>",
		strings.Repeat("ü", 61):  strings.Repeat("ü", 60) + "...",
		strings.Repeat("ü", 60):  strings.Repeat("ü", 60),
		strings.Repeat("\n", 61): `"` + strings.Repeat(`\n`, 60) + `"...`,
	} {
		if got := preview([]byte(in)); got != want {
			t.Errorf("%q: got %s, want %s", in, got, want)
		}
	}
}

// If a field were added wrongly, the output would not be JSON.
func TestWithField(t *testing.T) {
	for _, c := range []struct{ in, value, want string }{
		{`{"a":1}`, "x", `{"a":1,"etag":"x"}`},
		{"{}\n", `"7-1"`, `{"etag":"\"7-1\""}`},
		{`{"a":{"b":"}"}}`, "x", `{"a":{"b":"}"},"etag":"x"}`},
		{`{"a":1}`, "", `{"a":1}`},
		{`null`, "x", `null`},
	} {
		if got := string(withField([]byte(c.in), "etag", c.value)); got != c.want {
			t.Errorf("%s: got %s, want %s", c.in, got, c.want)
		}
	}
}
