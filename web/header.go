package web

import "github.com/valyala/fasthttp"

// field is one request header that the server reads.
type field uint8

const (
	fieldAccept field = iota
	fieldIfMatch
	fieldIfNoneMatch
	fieldIfUnmodifiedSince
	fieldIfFence
	fieldIdemKey
	fieldOrigin
	fieldContentEncoding
	fieldAcceptEncoding
	fieldLastEventID
	fieldForwardedFor
	fieldFetchSite
	fieldFetchMode
	fieldPreflightMethod
	fieldPreflightPrivate
	fieldAuthorization
	fieldCookie
	fieldForwardedProto
	fieldTraceparent
	fields
)

// A head is what a request's header says, read in one pass. Its slices belong
// to the request.
type head struct {
	values [fields][]byte
	// present and repeated have a bit for each field.
	present, repeated uint32
}

func (h *head) has(f field) bool   { return h.present&(1<<f) != 0 }
func (h *head) twice(f field) bool { return h.repeated&(1<<f) != 0 }

// get returns the value of f, nil if it is not there.
func (h *head) get(f field) []byte {
	if !h.has(f) {
		return nil
	}
	return h.values[f]
}

// read collects the fields that the server knows.
func (h *head) read(header *fasthttp.RequestHeader) {
	h.present, h.repeated = 0, 0
	for key, value := range header.All() {
		f, ok := fieldOf(key)
		if !ok {
			continue
		}
		if !h.has(f) {
			h.present |= 1 << f
			h.values[f] = value
			continue
		}
		h.repeated |= 1 << f
		joined := append([]byte(nil), h.values[f]...)
		h.values[f] = append(append(joined, ", "...), value...)
	}
}

// fieldOf returns the field of a header name as fasthttp normalises it.
func fieldOf(key []byte) (field, bool) {
	switch string(key) {
	case "Accept":
		return fieldAccept, true
	case "If-Match":
		return fieldIfMatch, true
	case "If-None-Match":
		return fieldIfNoneMatch, true
	case "If-Unmodified-Since":
		return fieldIfUnmodifiedSince, true
	case "If-Fence":
		return fieldIfFence, true
	case "Idempotency-Key":
		return fieldIdemKey, true
	case "Origin":
		return fieldOrigin, true
	case "Content-Encoding":
		return fieldContentEncoding, true
	case "Accept-Encoding":
		return fieldAcceptEncoding, true
	case "Last-Event-Id":
		return fieldLastEventID, true
	case "X-Forwarded-For":
		return fieldForwardedFor, true
	case "Sec-Fetch-Site":
		return fieldFetchSite, true
	case "Sec-Fetch-Mode":
		return fieldFetchMode, true
	case "Access-Control-Request-Method":
		return fieldPreflightMethod, true
	case "Access-Control-Request-Private-Network":
		return fieldPreflightPrivate, true
	case "Authorization":
		return fieldAuthorization, true
	case "Cookie":
		return fieldCookie, true
	case "X-Forwarded-Proto":
		return fieldForwardedProto, true
	case "Traceparent":
		return fieldTraceparent, true
	}
	return 0, false
}
