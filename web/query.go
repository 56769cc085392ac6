package web

import (
	"bytes"

	"keywatch/web/api"
)

// params is what a request's query says. Each parameter stands at most once,
// except those that take reads with many.
type params struct {
	names, values []string
	// known are the names that were asked for.
	known []string
}

// parse reads a raw query. A failure says what is malformed.
func (p *params) parse(raw []byte) error {
	p.names, p.values, p.known = p.names[:0], p.values[:0], p.known[:0]
	for len(raw) > 0 {
		var pair []byte
		pair, raw, _ = bytes.Cut(raw, []byte{'&'})
		name, value, _ := bytes.Cut(pair, []byte{'='})
		name, ok := unescape(nil, name, true)
		if ok {
			value, ok = unescape(nil, value, true)
		}
		if !ok {
			return api.Refuse(api.CodeBadParameter, "the query has a malformed escape: %.80q", pair)
		}
		if len(name) == 0 {
			return api.Refuse(api.CodeBadParameter, "the query has a parameter without a name")
		}
		p.names = append(p.names, string(name))
		p.values = append(p.values, string(value))
	}
	return nil
}

// take removes the parameter name and returns its value. It fails if the
// parameter is there twice.
func (p *params) take(name string) (value string, ok bool, err error) {
	values := p.many(name)
	if len(values) > 1 {
		return "", false, api.Refuse(api.CodeBadParameter, "parameter %s is given %d times, expected once", name, len(values))
	}
	if len(values) == 0 {
		return "", false, nil
	}
	return values[0], true, nil
}

// flag removes the parameter name, which is 0 or 1, and returns whether it is
// 1; without it the answer is the default.
func (p *params) flag(name string, value bool) (bool, error) {
	text, ok, err := p.take(name)
	switch {
	case err != nil || !ok:
		return value, err
	case text == "1":
		return true, nil
	case text == "0":
		return false, nil
	}
	return false, api.Refuse(api.CodeBadParameter, "%s: expected 0 or 1, got %.80q", name, text)
}

// many removes every parameter name and returns the values in order.
func (p *params) many(name string) (values []string) {
	p.known = append(p.known, name)
	kept := 0
	for i, n := range p.names {
		if n == name {
			values = append(values, p.values[i])
			continue
		}
		p.names[kept], p.values[kept] = n, p.values[i]
		kept++
	}
	p.names, p.values = p.names[:kept], p.values[:kept]
	return values
}

// drop removes the parameters with these names, which then are not among those that an error
// lists as known.
func (p *params) drop(names []string) {
	known := p.known
	for _, name := range names {
		p.many(name)
	}
	p.known = known
}

// done fails if a parameter is left, which the route does not know.
func (p *params) done() error {
	if len(p.names) == 0 {
		return nil
	}
	return api.Refuse(api.CodeBadParameter, "unknown parameter %.80q%s", p.names[0], api.DidYouMean(p.names[0], p.known))
}

// integer parses a decimal number between 1 and limit.
func integer(name, text string, limit int) (int, error) {
	n := 0
	for i := 0; i < len(text); i++ {
		if text[i] < '0' || text[i] > '9' || n > limit {
			n = 0
			break
		}
		n = n*10 + int(text[i]-'0')
	}
	if n < 1 || n > limit {
		return 0, api.Refuse(api.CodeBadParameter, "%s: expected a number from 1 to %d, got %.80q", name, limit, text)
	}
	return n, nil
}
