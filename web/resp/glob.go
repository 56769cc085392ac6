package resp

import "strings"

// A glob is a pattern of keys or channels: * for any bytes, ? for one, [a-c] and [^a-c] for a
// set, \ before a byte that means itself. Matching takes time in proportion to the length of
// the pattern times that of the text, whatever the pattern.
type glob string

// literal returns what every text that matches begins with.
func (g glob) literal() string {
	var b strings.Builder
	for i := 0; i < len(g); i++ {
		switch g[i] {
		case '*', '?', '[':
			return b.String()
		case '\\':
			if i+1 < len(g) {
				i++
			}
		}
		b.WriteByte(g[i])
	}
	return b.String()
}

// match reports whether the whole of s matches. Of the stars only the last is ever tried
// again: what those before have matched can stay as short as it is.
func (g glob) match(s string) bool {
	p, i := 0, 0
	star, from := -1, 0
	for i < len(s) || p < len(g) {
		if p < len(g) {
			if g[p] == '*' {
				star, from = p, i
				p++
				continue
			}
			if i < len(s) {
				if n, ok := g[p:].one(s[i]); ok {
					p += n
					i++
					continue
				}
			}
		}
		if star < 0 || from >= len(s) {
			return false
		}
		from++
		p, i = star+1, from
	}
	return true
}

// one reports whether c matches the first element of g, which is no star, and how long that
// is.
func (g glob) one(c byte) (n int, ok bool) {
	switch {
	case g[0] == '?':
		return 1, true
	case g[0] == '[':
		return g.set(c)
	case g[0] == '\\' && len(g) > 1:
		return 2, g[1] == c
	}
	return 1, g[0] == c
}

// set is one for an element in brackets. One without an end reaches to the end of g.
func (g glob) set(c byte) (n int, ok bool) {
	n = 1
	not := n < len(g) && g[n] == '^'
	if not {
		n++
	}
	for ; n < len(g) && g[n] != ']'; n++ {
		switch {
		case g[n] == '\\' && n+1 < len(g):
			n++
			ok = ok || g[n] == c
		case n+2 < len(g) && g[n+1] == '-':
			from, to := min(g[n], g[n+2]), max(g[n], g[n+2])
			ok = ok || c >= from && c <= to
			n += 2
		default:
			ok = ok || g[n] == c
		}
	}
	if n < len(g) {
		n++
	}
	return n, ok != not
}
