package web

import "bytes"

// plainFields are the headers that a plain request may have, as they are written.
// Those from plainKept on are handed on; the others change nothing here.
var plainFields = [...]string{
	plainHost: "Host", plainAgent: "User-Agent", plainAccept: "Accept", plainEncoding: "Accept-Encoding",
	plainLength: "Content-Length", plainType: "Content-Type", plainConnection: "Connection",
	plainKept: "If-Match", "If-None-Match", "If-Fence", "Idempotency-Key",
}

const (
	plainHost = iota
	plainAgent
	plainAccept
	plainEncoding
	plainLength
	plainType
	plainConnection
	plainKept
)

// A plainHead is a request of a form so common that it is worth reading apart.
// Its slices share memory with what was read.
type plainHead struct {
	method, target, body []byte
	values               [len(plainFields)][]byte
	present              uint32
}

// read reports whether b is one whole request that is plain, and reads it. What
// is doubtful is not plain: the server under this one judges it. So nothing is
// read here that it would read in another way or refuse.
func (h *plainHead) read(b []byte) bool {
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
	return h.has(plainHost) && h.consistent()
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

func (h *plainHead) has(i int) bool { return h.present&(1<<i) != 0 }

// readLine reads the first line: a method, a path of the API, the version.
func (h *plainHead) readLine(line []byte) (ok bool) {
	if line, ok = bytes.CutSuffix(line, http11); !ok {
		return false
	}
	if h.method, h.target, ok = bytes.Cut(line, []byte{' '}); !ok {
		return false
	}
	for _, c := range h.target {
		if !plainByte[c] || c == ' ' {
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

// plainByte has the characters of targets and values: visible ASCII and the
// space, without those that a URI does not have.
var plainByte = func() (ok [256]bool) {
	for c := ' '; c <= '~'; c++ {
		ok[c] = true
	}
	ok['#'] = false
	return ok
}()

// readField reads one header, which must be one of those known, once.
func (h *plainHead) readField(line []byte) bool {
	colon := bytes.IndexByte(line, ':')
	if colon < 0 || len(line) < colon+3 || line[colon+1] != ' ' || line[colon+2] == ' ' || line[len(line)-1] == ' ' {
		return false
	}
	value := line[colon+2:]
	for i := range plainFields {
		if string(line[:colon]) != plainFields[i] {
			continue
		}
		if h.has(i) || !isPlain(value) {
			return false
		}
		h.present |= 1 << i
		h.values[i] = value
		return true
	}
	return false
}

func isPlain(value []byte) bool {
	for _, c := range value {
		if !plainByte[c] {
			return false
		}
	}
	return true
}

// consistent reports whether the headers say nothing unusual, and the body is
// what they say.
func (h *plainHead) consistent() bool {
	if h.has(plainAccept) && string(h.values[plainAccept]) != "*/*" {
		return false
	}
	if h.has(plainConnection) && string(h.values[plainConnection]) != keepAlive {
		return false
	}
	if h.has(plainType) && bytes.HasPrefix(h.values[plainType], []byte("multipart/")) {
		return false
	}
	return plainHostName(h.values[plainHost]) && h.lengthHolds()
}

// plainHostName reports whether host is a name or an IPv4 address, perhaps with
// a port.
func plainHostName(host []byte) bool {
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
func (h *plainHead) lengthHolds() bool {
	sends := h.method[0] == 'P'
	if !h.has(plainLength) {
		return !sends && len(h.body) == 0
	}
	digits := h.values[plainLength]
	n := 0
	for _, c := range digits {
		if c < '0' || c > '9' {
			return false
		}
		n = n*10 + int(c-'0')
	}
	return sends && len(digits) < 8 && n == len(h.body)
}
