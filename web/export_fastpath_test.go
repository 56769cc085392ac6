package web

import "keywatch/web/api"

// FastAnswered returns how many requests were answered on the fast path.
func (s *Server) FastAnswered() int64 { return s.metrics.fast.Value() }

// Refused returns how many requests and connections were refused with a code.
func (s *Server) Refused(c api.Code) int64 { return s.metrics.refused[c].Value() }

// Reading returns how many connections have sent a part of a request.
func (s *Server) Reading() (n int) {
	s.conns.mu.Lock()
	defer s.conns.mu.Unlock()
	for own := range s.conns.mu.all {
		if p := phase(own.at.Load()); p == phaseReading || p == phaseBody {
			n++
		}
	}
	return n
}

// FastClosing reports whether a connection was closed while a request of the fast path is
// being answered on it.
func (s *Server) FastClosing() bool {
	s.conns.mu.Lock()
	defer s.conns.mu.Unlock()
	for own := range s.conns.mu.all {
		if own.fast.Load() == fastClosed {
			return true
		}
	}
	return false
}

// A FastRequest is a request that the fast path has read.
type FastRequest struct {
	Method, Target, Host, Body []byte
	Kept                       map[string][]byte
}

// ReadFast reads the request that b begins with as the fast path does, and returns its size.
func ReadFast(b []byte) (r FastRequest, n int, ok bool) {
	var h fastHead
	n, v := h.read(b)
	if v != fastWhole {
		return FastRequest{}, 0, false
	}
	r = FastRequest{h.method, h.target, h.values[fastHost], h.body, make(map[string][]byte)}
	for i := fastKept; i < fastFields; i++ {
		if h.has(i) {
			r.Kept[fastNames[i]] = h.values[i]
		}
	}
	return r, n, true
}

// FieldNames are the headers that the server reads, one for each field.
func FieldNames() []string {
	names := [fields]string{
		fieldAccept: "Accept", fieldIfMatch: "If-Match", fieldIfNoneMatch: "If-None-Match",
		fieldIfUnmodifiedSince: "If-Unmodified-Since", fieldIfFence: "If-Fence", fieldIdemKey: "Idempotency-Key",
		fieldOrigin: "Origin", fieldContentEncoding: "Content-Encoding", fieldAcceptEncoding: "Accept-Encoding",
		fieldLastEventID: "Last-Event-Id", fieldForwardedFor: "X-Forwarded-For", fieldFetchSite: "Sec-Fetch-Site",
		fieldFetchMode: "Sec-Fetch-Mode", fieldPreflightMethod: "Access-Control-Request-Method",
		fieldPreflightPrivate: "Access-Control-Request-Private-Network",
		fieldAuthorization:    "Authorization", fieldCookie: "Cookie", fieldForwardedProto: "X-Forwarded-Proto",
		fieldTraceparent: "Traceparent",
	}
	return names[:]
}

// FieldOf returns the place of name in FieldNames, -1 for a header that the server does not
// read.
func FieldOf(name string) int {
	if f, ok := fieldOf([]byte(name)); ok {
		return int(f)
	}
	return -1
}

// Untimed has the server not count how long requests take.
func (s *Server) Untimed() { s.metrics.untimed = true }

// Open returns how many connections are open, streams included. One that becomes a stream counts twice
// until its goroutine has ended.
func (s *Server) Open() int { return s.conns.all() }

// Streams returns how many streams are open.
func (s *Server) Streams() int { return s.streams.Len() }

// FastGivenUp reports whether more of what begins with b cannot be for the fast path, or is
// another request.
func FastGivenUp(b []byte) bool {
	var h fastHead
	_, v := h.read(b)
	return v != fastPartial
}

// Looped returns how many connections event loops serve.
func (s *Server) Looped() int {
	if s.front == nil {
		return 0
	}
	return s.front.Len()
}

// Sweep has the connections looked after as if an interval had passed.
func (s *Server) Sweep() { s.conns.sweep() }
