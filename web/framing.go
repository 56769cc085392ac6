package web

import (
	"bytes"

	"keywatch/web/api"
)

// framed refuses a head that another server on the way may have read in another way, so that
// the two disagree on where the request ends (RFC 9112, 2.2, 5.2 and 6.1): lines that end
// without a carriage return or go on in the next line, and a Transfer-Encoding that is not
// chunked. The connection ends with it. fasthttp reads all of these, and refuses two lengths
// itself. Requests on the fast path have none of them.
func (r *request) framed() error {
	if r.fast != nil || wellFramed(r.f.Request.Header.RawHeaders()) {
		return nil
	}
	r.f.SetConnectionClose()
	return api.Refuse(api.CodeBadRequest, "the head has a line without CR LF, a folded line, or a Transfer-Encoding other than chunked")
}

var nameTransferEncoding = []byte("Transfer-Encoding")

// wellFramed reports whether every line of a head, request line and empty line left out, ends
// with CR LF and stands for itself, and no transfer coding but chunked is named.
func wellFramed(head []byte) bool {
	for len(head) > 0 {
		line, rest, ended := bytes.Cut(head, []byte{'\n'})
		text, returned := bytes.CutSuffix(line, []byte{'\r'})
		if !returned || !ended {
			return false
		}
		head = rest
		if len(text) == 0 {
			continue
		}
		if text[0] == ' ' || text[0] == '\t' || bytes.IndexByte(text, '\r') >= 0 {
			return false
		}
		name, value, _ := bytes.Cut(text, []byte{':'})
		if bytes.EqualFold(name, nameTransferEncoding) && !bytes.EqualFold(bytes.Trim(value, " \t"), []byte("chunked")) {
			return false
		}
	}
	return true
}
