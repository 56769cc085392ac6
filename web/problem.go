package web

import (
	"bytes"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"keywatch/kv"
	"keywatch/watch"
)

// A failure is an error with its code and what the answer shows beside it.
type failure struct {
	code   Code
	detail string
	// limit, if not zero, is the bound that was exceeded.
	limit int
	// index, if hasIndex is set, is the check, fence or operation that failed.
	index    int
	hasIndex bool
	// compared says that the answer shows what stood at key: current, nil if
	// nothing, without its value if noValue is set.
	compared bool
	key      string
	current  *kv.Entry
	noValue  bool
	// lock is the one that a fence named; current is then its holder.
	lock  string
	retry time.Duration
	cause error
}

func (f *failure) Error() string { return string(f.code) + ": " + f.detail }
func (f *failure) Unwrap() error { return f.cause }

// failureOf returns err as a failure.
func failureOf(err error) *failure {
	if f, ok := errors.AsType[*failure](err); ok {
		return f
	}
	f := &failure{code: codeOf(err), cause: err}
	if f.code == CodeInternal {
		f.detail = "internal error"
	} else {
		f.detail = err.Error()
	}
	return f
}

// fail answers with a problem, or where only an EventSource listens with a
// stream that says to come back.
func (r *request) fail(err error) {
	f := failureOf(err)
	r.s.metrics.refuse(f.code)
	if f.code.Status() == 500 {
		r.s.opts.Logger.Error("request failed", "method", string(r.f.Method()), "route", routeNames[r.route], "err", err)
	}
	if f.code.ComeBack() && r.c != nil && r.method == methodGet && r.eventSourceOnly() {
		r.resetAnswer()
		if err := writeBye(r.c, f.code, max(f.retry, watch.RetryAfter()), r.byeForm()); err == nil {
			return
		}
	}
	r.problem(f)
}

// byeForm returns the form that a stream would have had, as far as can be told
// of a request that may not have been read.
func (r *request) byeForm() watch.Form {
	if string(r.f.QueryArgs().Peek("named")) == "0" {
		return watch.SSEUnnamed
	}
	return watch.SSE
}

// resetAnswer drops what was said so far, except who may read the answer.
func (r *request) resetAnswer() {
	r.f.Response.ResetBody()
	r.f.Response.SetStatusCode(200)
}

// problem writes f as application/problem+json.
func (r *request) problem(f *failure) {
	resp := &r.f.Response
	status := f.code.Status()
	resp.SetStatusCode(status)
	resp.Header.SetContentTypeBytes(typeProblem)
	if status == 503 || status == 429 {
		r.header(nameRetryAfter, strconv.AppendInt(nil, max(1, int64((f.retry+time.Second-1)/time.Second)), 10))
	}
	if f.compared && f.current != nil {
		epoch := r.s.opts.Store.State().Position().Epoch
		r.header(nameETag, appendETag(nil, epoch, f.current.Mod))
	}
	r.out = append(appendProblem(r.out[:0], f, r.s.opts.Store.Now), '\n')
	resp.SetBody(r.out)
}

// appendProblem appends the JSON of f. now is the log time that a TTL counts
// from.
func appendProblem(b []byte, f *failure, now func() int64) []byte {
	status := f.code.Status()
	b = append(b, `{"type":"about:blank","title":`...)
	b = appendString(b, http.StatusText(status))
	b = append(b, `,"status":`...)
	b = strconv.AppendInt(b, int64(status), 10)
	b = append(b, `,"code":`...)
	b = appendString(b, string(f.code))
	b = append(b, `,"detail":`...)
	b = appendString(b, f.detail)
	if f.limit != 0 {
		b = append(b, `,"limit":`...)
		b = strconv.AppendInt(b, int64(f.limit), 10)
	}
	if f.hasIndex {
		b = append(b, `,"index":`...)
		b = strconv.AppendInt(b, int64(f.index), 10)
	}
	if f.lock != "" {
		b = append(b, `,"lock":`...)
		b = appendString(b, f.lock)
		b = appendHeld(append(b, `,"holder":`...), f, now)
	}
	if f.compared {
		b = appendHeld(append(b, `,"current":`...), f, now)
	}
	return append(b, '}')
}

// appendHeld appends the entry that f found, or null.
func appendHeld(b []byte, f *failure, now func() int64) []byte {
	if f.current == nil {
		return append(b, "null"...)
	}
	return appendEntry(b, f.key, f.current, now(), !f.noValue && f.current.Size() <= inlineMax)
}

// fixedAnswer returns a whole response with a problem, which closes the
// connection.
func fixedAnswer(code Code, detail string) []byte {
	body := append(appendProblem(nil, &failure{code: code, detail: detail}, nil), '\n')
	var b bytes.Buffer
	b.WriteString("HTTP/1.1 " + strconv.Itoa(code.Status()) + " " + http.StatusText(code.Status()))
	b.WriteString("\r\nConnection: close\r\nCache-Control: no-store\r\nRetry-After: 1\r\nContent-Type: ")
	b.Write(typeProblem)
	b.WriteString("\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n")
	b.Write(body)
	return b.Bytes()
}

// malformed answers what fasthttp could not read as a request, and closes the
// connection in such a way that a client that is still sending gets to see the
// answer.
func (s *Server) malformed(f *fasthttp.RequestCtx, err error) {
	r := s.acquire(f, nil)
	defer s.release(r)
	r.common()
	r.fail(malformedFailure(err, s.opts.MaxBody))
	f.SetConnectionClose()
	s.metrics.count(routeNone, 0, f.Response.StatusCode())
	linger(f)
}

func malformedFailure(err error, maxBody int) *failure {
	var timeout interface{ Timeout() bool }
	var small *fasthttp.ErrSmallBuffer
	switch {
	case errors.As(err, &small):
		return &failure{code: CodeHeadTooLarge, detail: "the request head is too large", limit: maxHead}
	case errors.Is(err, fasthttp.ErrBodyTooLarge):
		return &failure{code: CodeBodyTooLarge, detail: "the request body is too large", limit: maxBody}
	case errors.As(err, &timeout) && timeout.Timeout():
		return &failure{code: CodeRequestTimeout, detail: "the request took too long to arrive"}
	}
	return &failure{code: CodeBadRequest, detail: "the request is not HTTP/1.1 as this server reads it"}
}

// Bounds of lingering with a client whose request is not read to the end.
const (
	lingerTime  = time.Second
	lingerBytes = 32 << 20
)

// linger sends the answer, and then reads on for a while: closing a socket
// with unread data would make the peer drop the answer. fasthttp's own attempt
// to send it fails afterwards, and closes the connection.
func linger(f *fasthttp.RequestCtx) {
	conn, ok := f.Conn().(interface {
		CloseWrite() error
		Write([]byte) (int, error)
		Read([]byte) (int, error)
		SetDeadline(time.Time) error
	})
	if !ok || conn.SetDeadline(time.Now().Add(lingerTime)) != nil {
		return
	}
	if _, err := f.Response.WriteTo(conn); err != nil || conn.CloseWrite() != nil {
		return
	}
	buf := make([]byte, 32<<10)
	for total := 0; total < lingerBytes; {
		n, err := conn.Read(buf)
		if err != nil {
			return
		}
		total += n
	}
}
