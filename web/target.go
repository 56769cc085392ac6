package web

import (
	"bytes"

	"keywatch/web/api"
)

// split cuts the request target into path and query, both as on the wire. It may be in three
// forms (RFC 9112, 3.2): a path, an address with scheme and host, and * for the server as a
// whole, of which only OPTIONS can ask.
func (r *request) split() (path []byte, err error) {
	if p := r.f.Request.Header.Protocol(); string(p) != "HTTP/1.1" && string(p) != "HTTP/1.0" {
		return nil, api.Refuse(api.CodeBadRequest, "unsupported HTTP version %.20q: use HTTP/1.1", p)
	}
	target := r.f.Request.Header.RequestURI()
	if len(target) > 0 && target[0] != '/' && string(target) != pathServer {
		if target, err = r.absolute(target); err != nil {
			return nil, err
		}
	}
	if bytes.IndexByte(target, '#') >= 0 {
		return nil, api.Refuse(api.CodeBadRequest, "the request target has a fragment")
	}
	r.path, r.query, _ = bytes.Cut(target, []byte{'?'})
	return r.path, nil
}

// absolute notes the authority of a target in absolute form and returns what follows it. An
// empty path is that of the root, or with OPTIONS and no query the server as a whole.
func (r *request) absolute(target []byte) ([]byte, error) {
	_, after, ok := bytes.Cut(target, []byte("://"))
	if !ok {
		return nil, api.Refuse(api.CodeBadRequest, "the request target is neither a path nor an address")
	}
	end := bytes.IndexAny(after, "/?#")
	if end < 0 {
		end = len(after)
	}
	var rest []byte
	r.authority, rest = after[:end], after[end:]
	switch {
	case len(rest) > 0 && rest[0] == '/':
		return rest, nil
	case len(rest) == 0 && r.method == methodOptions:
		return []byte(pathServer), nil
	}
	return append([]byte{'/'}, rest...), nil
}
