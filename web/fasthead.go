package web

import "bytes"

// Fields that the fast path knows. Those from fastKept on are handed on under the name in
// fastNames, the others mean nothing behind it.
const (
	fastHost = iota
	fastAgent
	fastAccept
	fastEncoding
	fastLength
	fastType
	fastConnection
	fastIfMatch
	fastIfNoneMatch
	fastIfFence
	fastIdemKey
	fastForwardedFor
	fastFetchSite
	fastFetchMode
	fastAuthorization
	fastCookie
	fastForwardedProto
	fastTraceparent
	fastFields
	// fastNothing is a field that no request means anything by, such as one that a proxy
	// or a browser adds.
	fastNothing
	// fastRare is a field that another reader judges.
	fastRare
)

const fastKept = fastIfMatch

var fastNames = [fastFields]string{
	fastIfMatch: "If-Match", fastIfNoneMatch: "If-None-Match", fastIfFence: "If-Fence", fastIdemKey: "Idempotency-Key",
	fastForwardedFor: "X-Forwarded-For", fastFetchSite: "Sec-Fetch-Site", fastFetchMode: "Sec-Fetch-Mode",
	fastAuthorization: "Authorization", fastCookie: "Cookie", fastForwardedProto: "X-Forwarded-Proto", fastTraceparent: "Traceparent",
}

// fastField returns what a field of a name in lower case is. A field that fasthttp or the
// server acts on must be here.
func fastField(name string) int {
	switch name {
	case "host":
		return fastHost
	case "user-agent":
		return fastAgent
	case "accept":
		return fastAccept
	case "accept-encoding":
		return fastEncoding
	case "content-length":
		return fastLength
	case "content-type":
		return fastType
	case "connection":
		return fastConnection
	case "if-match":
		return fastIfMatch
	case "if-none-match":
		return fastIfNoneMatch
	case "if-fence":
		return fastIfFence
	case "idempotency-key":
		return fastIdemKey
	case "x-forwarded-for":
		return fastForwardedFor
	case "sec-fetch-site":
		return fastFetchSite
	case "sec-fetch-mode":
		return fastFetchMode
	case "authorization":
		return fastAuthorization
	case "cookie":
		return fastCookie
	case "x-forwarded-proto":
		return fastForwardedProto
	case "traceparent":
		return fastTraceparent
	case "transfer-encoding", "trailer", "te", "expect", "upgrade", "content-encoding", "if-unmodified-since",
		"origin", "last-event-id", "access-control-request-method", "access-control-request-private-network":
		return fastRare
	}
	return fastNothing
}

// A fastHead is a request of a form so common that it is worth reading apart.
// Its slices share memory with what was read.
type fastHead struct {
	method, target, body []byte
	values               [fastFields][]byte
	present              uint32
}

// A verdict is what is known of a request by the bytes that have come.
type verdict int8

const (
	fastWhole   verdict = iota // it is for the fast path, and whole
	fastPartial                // so far it may be for the fast path
	fastOther                  // another reader judges it
)

// read reads the request that b begins with, and returns how many bytes it has if it is
// whole. What is doubtful is for another reader: the server under this one judges it. So
// nothing is read here that it would read in another way or refuse.
func (h *fastHead) read(b []byte) (n int, v verdict) {
	h.present = 0
	line, rest, v := cutLine(b)
	if v != fastWhole {
		return 0, v
	}
	if !h.readLine(line) {
		return 0, fastOther
	}
	for {
		if line, rest, v = cutLine(rest); v != fastWhole {
			return 0, v
		}
		if len(line) == 0 {
			break
		}
		if !h.readField(line) {
			return 0, fastOther
		}
	}
	size, ok := h.length()
	switch {
	case !ok || !h.has(fastHost) || !h.consistent():
		return 0, fastOther
	case size > len(rest) && len(b)-len(rest)+size > sessionRequest:
		return 0, fastOther // more than is waited for: who may not send it is told at once
	case size > len(rest):
		return 0, fastPartial
	}
	h.body = rest[:size]
	return len(b) - len(rest) + size, fastWhole
}

var (
	crlf      = []byte("\r\n")
	http11    = []byte(" HTTP/1.1")
	keepAlive = "keep-alive"
)

// cutLine returns the line that b begins with and what follows it, if its end has come.
func cutLine(b []byte) (line, rest []byte, v verdict) {
	i := bytes.IndexByte(b, '\n')
	switch {
	case i < 0:
		return nil, nil, fastPartial
	case i < 1 || b[i-1] != '\r':
		return nil, nil, fastOther
	}
	return b[:i-1], b[i+1:], fastWhole
}

func (h *fastHead) has(i int) bool { return h.present&(1<<i) != 0 }

// batch reports whether the request is a batch.
func (h *fastHead) batch() bool { return string(h.method) == "POST" }

// readLine reads the first line: a method, a path of the API, the version.
func (h *fastHead) readLine(line []byte) (ok bool) {
	if line, ok = bytes.CutSuffix(line, http11); !ok {
		return false
	}
	if h.method, h.target, ok = bytes.Cut(line, []byte{' '}); !ok {
		return false
	}
	for _, c := range h.target {
		if !fastByte[c] || c == ' ' {
			return false
		}
	}
	path, query, asks := bytes.Cut(h.target, []byte{'?'})
	if bytes.Contains(h.target, []byte("//")) {
		return false
	}
	switch string(h.method) {
	case "GET":
		// A query of a read may ask for a wait, in which the connection is watched.
		return !asks && isKeyPath(path)
	case "PUT", "DELETE":
		return isKeyPath(path)
	case "POST":
		return len(query) == 0 && string(path) == pathBatch
	}
	return false
}

func isKeyPath(path []byte) bool {
	return len(path) > len(prefixKey) && string(path[:len(prefixKey)]) == prefixKey
}

// fastByte has the characters of targets and values: visible ASCII and the
// space, without those that a URI does not have.
var fastByte = func() (ok [256]bool) {
	for c := ' '; c <= '~'; c++ {
		ok[c] = true
	}
	ok['#'] = false
	return ok
}()

// readField reads one header. One that is known must be there once.
func (h *fastHead) readField(line []byte) bool {
	colon := bytes.IndexByte(line, ':')
	if colon < 1 || len(line) < colon+3 || line[colon+1] != ' ' || line[colon+2] == ' ' || line[len(line)-1] == ' ' {
		return false
	}
	var buf [fastNameMax]byte
	name, ok := lowerName(buf[:0], line[:colon])
	value := line[colon+2:]
	if !ok || !isFast(value) {
		return false
	}
	i := fastField(string(name))
	if i == fastNothing {
		return true
	}
	if i == fastRare || h.has(i) {
		return false
	}
	h.present |= 1 << i
	h.values[i] = value
	return true
}

// fastNameMax is the longest name that is read. No name that means something is longer.
const fastNameMax = 64

// lowerName appends name in lower case to b. It reports false for a name that is longer
// than fastNameMax or has other characters than letters, digits and hyphens.
func lowerName(b, name []byte) ([]byte, bool) {
	if len(name) > fastNameMax {
		return nil, false
	}
	for _, c := range name {
		c = fastLower[c]
		if c == 0 {
			return nil, false
		}
		b = append(b, c)
	}
	return b, true
}

// fastLower has the characters of names in lower case, 0 for those that are none.
var fastLower = func() (lower [256]byte) {
	lower['-'] = '-'
	for c := byte('0'); c <= '9'; c++ {
		lower[c] = c
	}
	for c := byte('a'); c <= 'z'; c++ {
		lower[c], lower[c-'a'+'A'] = c, c
	}
	return lower
}()

func isFast(value []byte) bool {
	for _, c := range value {
		if !fastByte[c] {
			return false
		}
	}
	return true
}

// consistent reports whether the headers say nothing unusual.
func (h *fastHead) consistent() bool {
	if h.has(fastAccept) && string(h.values[fastAccept]) != "*/*" {
		return false
	}
	if h.has(fastConnection) && string(h.values[fastConnection]) != keepAlive {
		return false
	}
	if h.has(fastType) && bytes.HasPrefix(h.values[fastType], []byte("multipart/")) {
		return false
	}
	return fastHostName(h.values[fastHost])
}

// fastHostName reports whether host is a name or an IPv4 address, perhaps with
// a port.
func fastHostName(host []byte) bool {
	name, port, _ := bytes.Cut(host, []byte{':'})
	for _, c := range name {
		if c != '.' && c != '-' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
			return false
		}
	}
	for _, c := range port {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(name) > 0
}

// length returns how long the body is. Without a length there is none, which only methods
// without a body may leave out.
func (h *fastHead) length() (n int, ok bool) {
	sends := h.method[0] == 'P'
	if !h.has(fastLength) {
		return 0, !sends
	}
	digits := h.values[fastLength]
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return n, sends && len(digits) < 8
}
