package web

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"keywatch/auth"
	"keywatch/watch"
	"keywatch/web/api"
)

// fail answers with a problem, or an EventSource with a stream that says when to
// reconnect.
func (r *request) fail(err error) {
	f := api.FailureOf(err)
	r.failed, r.need = f.Code, f.Need
	r.s.metrics.refuse(f.Code)
	if f.Code.Status() == 500 {
		r.s.opts.Logger.Error("request failed", "method", string(r.f.Method()), "route", routeNames[r.route], "err", err)
	}
	if f.Code.ComeBack() && r.c != nil && r.method == methodGet && r.eventSourceOnly() {
		r.resetAnswer()
		if err := writeBye(r.c, f.Code, max(f.Retry, watch.RetryAfter()), r.byeForm()); err == nil {
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
func (r *request) problem(f *api.Failure) {
	resp := &r.f.Response
	status := f.Code.Status()
	resp.SetStatusCode(status)
	resp.Header.SetContentTypeBytes(typeProblem)
	if status == 503 || status == 429 {
		r.header(nameRetryAfter, strconv.AppendInt(nil, max(1, int64((f.Retry+time.Second-1)/time.Second)), 10))
	}
	if challenge := challengeOf(f); challenge != nil {
		r.header(nameChallenge, challenge)
	}
	if f.Compared && f.Current != nil {
		epoch := r.s.door.Position().Epoch
		r.header(nameETag, api.AppendETag(nil, epoch, f.Current.Mod))
	}
	r.out = append(api.AppendProblem(r.out[:0], f, r.s.door.Now), '\n')
	r.send()
}

// The values of WWW-Authenticate (RFC 6750). They never offer Basic, for which a browser would open a
// box of its own.
var (
	challengeNone = []byte(`Bearer realm="keywatch"`)
	challengeBad  = []byte(`Bearer realm="keywatch", error="invalid_token"`)
	challengeMore = []byte(`Bearer realm="keywatch", error="insufficient_scope"`)
)

// challengeOf returns the value of WWW-Authenticate of a failure; nil if it has none. What came without
// a credential is told no error (RFC 6750, 3.1).
func challengeOf(f *api.Failure) []byte {
	switch {
	case f.Code == api.CodeUnauthenticated && f.Reason == auth.Missing:
		return challengeNone
	case f.Code == api.CodeUnauthenticated:
		return challengeBad
	case f.Code == api.CodeDenied:
		return challengeMore
	}
	return nil
}

var nameChallenge = []byte("WWW-Authenticate")

// fixedAnswer returns a whole response with a problem, which closes the
// connection.
func fixedAnswer(f *api.Failure) []byte {
	body := append(api.AppendProblem(nil, f, nil), '\n')
	var b bytes.Buffer
	b.WriteString("HTTP/1.1 " + strconv.Itoa(f.Code.Status()) + " " + http.StatusText(f.Code.Status()))
	b.WriteString("\r\nConnection: close\r\nCache-Control: no-store\r\n")
	if f.Code.ComeBack() {
		b.WriteString("Retry-After: 1\r\n")
	}
	b.WriteString("Content-Type: ")
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
	r.fail(s.malformedFailure(err))
	f.SetConnectionClose()
	s.metrics.count(routeNone, 0, f.Response.StatusCode())
	linger(f)
}

// malformedFailure returns the failure of a request that could not be read. Bounds without a
// flag are called fixed.
func (s *Server) malformedFailure(err error) *api.Failure {
	var timeout interface{ Timeout() bool }
	var small *fasthttp.ErrSmallBuffer
	switch {
	case errors.As(err, &small):
		return &api.Failure{Code: api.CodeHeadTooLarge, Detail: fmt.Sprintf("the request head is larger than %d KiB, which is fixed", maxHead>>10), Limit: maxHead}
	case errors.Is(err, fasthttp.ErrBodyTooLarge):
		return &api.Failure{Code: api.CodeBodyTooLarge, Detail: "the request body is too large: send less, or raise --max-batch", Limit: s.opts.MaxBody}
	case errors.Is(err, errBareLF):
		return &api.Failure{Code: api.CodeBadRequest, Detail: errBareLF.Error()}
	case errors.As(err, &timeout) && timeout.Timeout():
		return &api.Failure{Code: api.CodeRequestTimeout, Detail: fmt.Sprintf("the request did not arrive in time: its head may take %v, and so may each pause in its body, %v while --client-memory is short; both are fixed", s.opts.ReadTimeout, shortTimeout)}
	}
	return &api.Failure{Code: api.CodeBadRequest, Detail: malformedDetail}
}

// malformedDetail says what a request must be. Which of these one is not is said by
// fasthttp only in texts that quote it.
const malformedDetail = "malformed HTTP/1.1 request: expected METHOD /PATH HTTP/1.1, one Host, header lines NAME: VALUE that end in CR LF, and one Content-Length or chunks"

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
