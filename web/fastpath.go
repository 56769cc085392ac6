package web

import (
	"net"

	"github.com/valyala/fasthttp"

	"keywatch/ratelimit"
)

// A fastPath answers the most common requests: those that arrive whole in one read,
// on a connection that waits for a request, and carry nothing unusual. To read and
// write them here saves half of the work that is not the kernel's. What they mean
// is decided where all requests are: it gets the same RequestCtx, and the answer is
// the same to the byte but for its order. Every other request is passed to fasthttp
// unread.
type fastPath struct {
	head fastHead
	// ctx has a connection of its own, through which it sees the one that the
	// request came from: to set that again is expensive.
	ctx  fasthttp.RequestCtx
	conn lent
	// first is what fasthttp writes of the answer's head, lines are the other headers, out is
	// all of it. They are kept from request to request.
	first, lines, out []byte
	// The rest is of a request on an event loop. request is not nil while its write is under
	// way, and slow while its result is waited for elsewhere; body is a copy of its body, paid
	// what the limiter has said, next the request behind it.
	request *request
	slow    *slowResult
	body    []byte
	paid    ratelimit.Decision
	next    *fastPath
	// rest is what is left of the answer once it is begun.
	rest  []byte
	begun bool
}

// A lent is a connection that is another one at each request.
type lent struct{ *conn }

func newFastPath() any {
	p := new(fastPath)
	p.ctx.Init2(&p.conn, nil, false)
	return p
}

// States of a connection that is being closed by one goroutine while another
// answers a request of the fast path on it.
const (
	fastNone int32 = iota
	fastBusy
	fastClosed
)

// answerFast answers request, which is all that was read from own, if the fast
// path takes it. It returns an error if the connection is over then.
func (s *Server) answerFast(own *conn, request []byte) (done bool, err error) {
	// A pool, rather than one for each connection, because what the last request
	// used is in the processor's cache.
	p := s.fastPaths.Get().(*fastPath)
	defer s.fastPaths.Put(p)
	n, v := p.head.read(request)
	if v != fastWhole || n < len(request) || len(p.head.body) > s.opts.MaxBody || !own.fast.CompareAndSwap(fastNone, fastBusy) {
		return false, nil
	}
	s.metrics.fast.Inc()
	p.conn.conn = own
	p.fill()
	s.serve(&p.ctx, nil, p)
	over := p.ctx.Response.ConnectionClose()
	err = p.send(own)
	p.clear()
	own.settle()
	if !own.fast.CompareAndSwap(fastBusy, fastNone) || over && err == nil {
		_ = own.Conn.Close()
		err = net.ErrClosed
	}
	own.enter(phaseIdle)
	return true, err
}

// fill gives the context what fasthttp would have read.
func (p *fastPath) fill() {
	header := &p.ctx.Request.Header
	header.SetMethodBytes(p.head.method)
	header.SetRequestURIBytes(p.head.target)
	header.SetHostBytes(p.head.values[fastHost])
	for i := fastKept; i < fastFields; i++ {
		if p.head.has(i) {
			header.SetCanonical(lend(fastNames[i]), p.head.values[i])
		}
	}
	p.ctx.Request.SetBodyRaw(p.head.body)
}

// common begins the lines with what every answer says.
func (p *fastPath) common() {
	p.lines = append(p.lines[:0], commonLines...)
	p.ctx.Response.Header.SetContentTypeBytes(typeProblem)
}

// header adds a line. Unlike fasthttp it does not look for one of that name: no
// handler of the fast path sets a header twice.
func (p *fastPath) header(name, value []byte) {
	p.lines = append(p.lines, name...)
	p.lines = append(p.lines, ": "...)
	p.lines = append(p.lines, value...)
	p.lines = append(p.lines, crlf...)
}

// copyMax is the largest body that is copied behind its head, for one write.
const copyMax = 32 << 10

// render appends the answer to b, but for a body that is too large to be copied.
func (p *fastPath) render(b []byte) (rendered, body []byte) {
	resp := &p.ctx.Response
	body = resp.Body()
	if status := resp.StatusCode(); status == 204 || status == 304 {
		body = nil
	} else {
		resp.Header.SetContentLength(len(body))
	}
	p.first = resp.Header.AppendBytes(p.first[:0])
	b = append(b, p.first[:len(p.first)-len(crlf)]...)
	b = append(b, p.lines...)
	b = append(b, crlf...)
	if len(body) <= copyMax {
		return append(b, body...), nil
	}
	return b, body
}

// send writes the answer.
func (p *fastPath) send(own *conn) error {
	var body []byte
	p.out, body = p.render(p.out[:0])
	_, err := own.Write(p.out)
	if err == nil && len(body) > 0 {
		_, err = own.Write(body)
	}
	return err
}

// commonLines is commonHeader as it goes out.
var commonLines = "Cache-Control: no-store\r\nVary: Accept, Origin\r\nX-Content-Type-Options: nosniff\r\n"

// clear lets go of everything that belongs to the request.
func (p *fastPath) clear() {
	p.ctx.Request.Header.Reset()
	p.ctx.Request.ResetBody()
	p.ctx.Response.ReleaseBody(keepOut)
	p.ctx.Response.Reset()
	p.head, p.conn.conn, p.request, p.slow, p.paid = fastHead{}, nil, nil, nil, ratelimit.Decision{}
	p.rest, p.begun = nil, false
	if p.body = p.body[:0]; cap(p.body) > keepOut {
		p.body = nil
	}
}
