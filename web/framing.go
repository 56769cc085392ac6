package web

import (
	"bytes"
	"errors"

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

// errBareLF is the error of a head that ends in a line without CR LF. fasthttp waits for one
// that has it, which a client that has sent its request never sends.
var errBareLF = errors.New("the head ends without CR LF: end each of its lines with CR LF")

// A headScan looks for the empty line that ends a head, in the pieces in which it arrives.
// The zero value is at the begin of a head.
type headScan struct {
	// begun says that there was a line, which empty lines may stand before; over, that the
	// head has ended, or that nothing is known of it; bare, that it has ended without CR LF.
	begun, over, bare bool
	// text says that the line has something but a CR at its end, cr that its last byte is
	// one, and crlf that the line before ended with CR LF.
	text, cr, crlf bool
}

// read reads on.
func (h *headScan) read(b []byte) {
	for len(b) > 0 && !h.over {
		line, rest, ended := bytes.Cut(b, []byte{'\n'})
		if len(line) > 0 {
			h.text = h.text || h.cr || len(line) > 1 || line[0] != '\r'
			h.cr = line[len(line)-1] == '\r'
		}
		if ended {
			h.endLine()
		}
		b = rest
	}
}

func (h *headScan) endLine() {
	if !h.text && h.begun {
		h.over, h.bare = true, !h.cr || !h.crlf
	}
	h.begun = h.begun || h.text
	h.crlf, h.cr, h.text = h.cr, false, false
}
