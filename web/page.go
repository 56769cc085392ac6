package web

import (
	"strings"

	"keywatch/web/ui"
)

// Headers of the dashboard and the browser client. Scripts and styles come from
// this server only and never stand in the page, so that a value that is shown
// can do nothing; no page may put this one into a frame.
var (
	valuePagePolicy = []byte("default-src 'self'; frame-ancestors 'none'")
	nameReferrer    = []byte("Referrer-Policy")
	valueReferrer   = []byte("no-referrer")
	valueNoCache    = []byte("no-cache")

	nameContentEncoding = []byte("Content-Encoding")
	valueGzip           = []byte("gzip")
	valueVaryCoding     = []byte("Accept, Accept-Encoding, Origin")
)

// isPage reports whether an undecoded path is one of the dashboard or of the
// browser client.
func isPage(path []byte) bool {
	_, ok := ui.Lookup(borrow(path))
	return ok
}

// page answers with a file of the dashboard or the browser client, compressed
// where the browser accepts that. A browser keeps it and asks each time whether it
// is still the same.
func (r *request) page() error {
	if err := r.params.done(); err != nil {
		return err
	}
	file, _ := ui.Lookup(borrow(r.path))
	body, tag := file.Body, file.ETag
	packed := acceptsCoding(r.head.get(fieldAcceptEncoding), "gzip")
	if packed {
		body, tag = file.Gzip, file.GzipETag
	}
	r.header(nameCacheControl, valueNoCache)
	r.header(nameVary, valueVaryCoding)
	r.header(nameCSP, valuePagePolicy)
	r.header(nameReferrer, valueReferrer)
	r.header(nameETag, []byte(tag))
	if holdsPage(string(r.head.get(fieldIfNoneMatch)), tag) {
		r.f.Response.SetStatusCode(304)
		return nil
	}
	if packed {
		r.header(nameContentEncoding, valueGzip)
	}
	r.f.Response.Header.SetContentType(file.Type)
	r.f.Response.SetBodyRaw(body)
	return nil
}

// holdsPage reports whether an If-None-Match, which may be a list, has tag.
func holdsPage(header, tag string) bool {
	for held := range strings.SplitSeq(header, ",") {
		held = strings.TrimPrefix(strings.Trim(held, " \t"), "W/")
		if held == tag || held == "*" {
			return true
		}
	}
	return false
}
