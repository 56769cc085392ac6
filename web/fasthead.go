package web

import "bytes"

// fastFields are the headers that a request of the fast path may have, as they are
// written.
// Those from fastKept on are handed on; the others change nothing here.
var fastFields = [...]string{
	fastHost: "Host", fastAgent: "User-Agent", fastAccept: "Accept", fastEncoding: "Accept-Encoding",
	fastLength: "Content-Length", fastType: "Content-Type", fastConnection: "Connection",
	fastKept: "If-Match", "If-None-Match", "If-Fence", "Idempotency-Key",
}

const (
	fastHost = iota
	fastAgent
	fastAccept
	fastEncoding
	fastLength
	fastType
	fastConnection
	fastKept
)

// A fastHead is a request of a form so common that it is worth reading apart.
// Its slices share memory with what was read.
type fastHead struct {
	method, target, body []byte
	values               [len(fastFields)][]byte
	present              uint32
}

// read reports whether b is one whole request for the fast path, and reads it. What
// is doubtful is not: the server under this one judges it. So nothing is read here
// that it would read in another way or refuse.
func (h *fastHead) read(b []byte) bool {
	h.present = 0
	line, rest, ok := cutLine(b)
	if !ok || !h.readLine(line) {
		return false
	}
	for {
		if line, rest, ok = cutLine(rest); !ok {
			return false
		}
		if len(line) == 0 {
			break
		}
		if !h.readField(line) {
			return false
		}
	}
	h.body = rest
	return h.has(fastHost) && h.consistent()
}

var (
	crlf      = []byte("\r\n")
	http11    = []byte(" HTTP/1.1")
	keepAlive = "keep-alive"
)

// cutLine returns the line that b begins with and what follows it.
func cutLine(b []byte) (line, rest []byte, ok bool) {
	i := bytes.IndexByte(b, '\n')
	if i < 1 || b[i-1] != '\r' {
		return nil, nil, false
	}
	return b[:i-1], b[i+1:], true
}

func (h *fastHead) has(i int) bool { return h.present&(1<<i) != 0 }

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

// readField reads one header, which must be one of those known, once.
func (h *fastHead) readField(line []byte) bool {
	colon := bytes.IndexByte(line, ':')
	if colon < 0 || len(line) < colon+3 || line[colon+1] != ' ' || line[colon+2] == ' ' || line[len(line)-1] == ' ' {
		return false
	}
	value := line[colon+2:]
	for i := range fastFields {
		if string(line[:colon]) != fastFields[i] {
			continue
		}
		if h.has(i) || !isFast(value) {
			return false
		}
		h.present |= 1 << i
		h.values[i] = value
		return true
	}
	return false
}

func isFast(value []byte) bool {
	for _, c := range value {
		if !fastByte[c] {
			return false
		}
	}
	return true
}

// consistent reports whether the headers say nothing unusual, and the body is
// what they say.
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
	return fastHostName(h.values[fastHost]) && h.lengthHolds()
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

// lengthHolds reports whether the body is as long as the head says: neither less
// of it has arrived, nor the beginning of another request. Without a length there
// is none, which only methods without a body may leave out.
func (h *fastHead) lengthHolds() bool {
	sends := h.method[0] == 'P'
	if !h.has(fastLength) {
		return !sends && len(h.body) == 0
	}
	digits := h.values[fastLength]
	n := 0
	for _, c := range digits {
		if c < '0' || c > '9' {
			return false
		}
		n = n*10 + int(c-'0')
	}
	return sends && len(digits) < 8 && n == len(h.body)
}
