package web

import (
	"cmp"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"keywatch/auth"
	"keywatch/ratelimit"
	"keywatch/watch"
	"keywatch/web/api"
	"keywatch/web/reactor"
)

// claimTimeout is how long a connection may take to be handed over.
const claimTimeout = 30 * time.Second

// streamCacheControl keeps caches away, and compressing proxies, which would hold back events
// until a block is full.
const streamCacheControl = "no-store, no-transform"

// streamForm says how a stream is written.
type streamForm struct {
	// ndjson asks for JSON lines instead of server-sent events, named for event
	// lines.
	ndjson, named bool
	// browser is set where a browser asks. Its events are sent without chunks until the
	// connection ends, because haproxy holds back for 200 ms what it passes on of a chunked
	// body that has not ended, unless it is told otherwise. Other clients get chunks: many read
	// what has none in pieces of a fixed size, and see an event only once a piece is full.
	browser bool
	// eventSource is set where the client shows neither status nor headers to
	// its user and gives up on anything but 200.
	eventSource bool
}

func (f streamForm) encoding() watch.Form {
	switch {
	case f.ndjson:
		return watch.NDJSON
	case f.named:
		return watch.SSE
	}
	return watch.SSEUnnamed
}

func (f streamForm) contentType() string {
	if f.ndjson {
		return "application/x-ndjson"
	}
	return "text/event-stream"
}

// serveStream answers with a stream of what req asks for. The connection is
// handed over once the handler has returned; headers set on c until then are
// sent. It counts for caller. It fails, with nothing written, with
// api.ErrTooManyStreams, kv.ErrStopping, a *ratelimit.FullError or an error of
// watch.Hub.Watch.
func (s *Server) serveStream(c *fiber.Ctx, who *auth.Caller, req watch.Request, form streamForm, caller string) error {
	return s.streams.serve(c, who, req, form, caller)
}

// writeBye answers an EventSource, which would give up on an error for good,
// with a stream that ends at once and says when to reconnect.
func writeBye(c *fiber.Ctx, code api.Code, retry time.Duration, form watch.Form) error {
	c.Set(fiber.HeaderContentType, streamForm{}.contentType())
	c.Set(fiber.HeaderCacheControl, streamCacheControl)
	bye := watch.Message{Kind: watch.Bye, Code: string(code), Retry: retry}
	return c.Status(fiber.StatusOK).Send(form.Append(nil, &bye))
}

func (r *streamRegistry) serve(c *fiber.Ctx, who *auth.Caller, req watch.Request, form streamForm, caller string) error {
	s := &stream{owner: r.owner(who), form: form, hold: r.opts.budget.Open(caller)}
	req.Progress, req.Waker = r.opts.heartbeat, s
	err := cmp.Or(s.hold.Grow(ratelimit.Connections, streamCost+heldBelow(c.Context().Conn())), s.hold.Grow(ratelimit.Watches, req.Cost()))
	if err == nil {
		var pass auth.Pass
		pass, err = r.opts.door.As(who).Open(&s.watcher, req)
		s.seen.Store(pass.Since())
	}
	if err != nil {
		s.hold.Close()
		r.disown(s.owner)
		return err
	}
	if err := r.enter(s); err != nil {
		s.watcher.Close()
		s.hold.Close()
		r.disown(s.owner)
		return err
	}
	r.setHead(c, form)
	s.takeOver(c.Context())
	return nil
}

// setHead sets the headers of a stream.
func (r *streamRegistry) setHead(c *fiber.Ctx, form streamForm) {
	c.Status(fiber.StatusOK)
	c.Set(fiber.HeaderContentType, form.contentType())
	c.Set(fiber.HeaderCacheControl, streamCacheControl)
	c.Set(fiber.HeaderVary, "Accept, Origin")
	c.Set(fiber.HeaderXContentTypeOptions, "nosniff")
	c.Set("X-Accel-Buffering", "no")
	c.Set("Keywatch-Position", r.opts.door.Hub().Position().String())
}

// A stream is one connection that gets the messages of one watcher. It is the
// connection's reactor.Handler.
type stream struct {
	owner   *streamOwner
	watcher watch.Watcher
	form    streamForm
	// chunked says that the body is sent in chunks, as HTTP/1.1 can.
	chunked bool
	// state has streamEnded and streamAttached.
	state atomic.Uint32
	// seen is the standing of the caller that the watch was allowed under last.
	seen   atomic.Uint32
	socket reactor.Socket
	// hold is what the stream makes the server hold.
	hold ratelimit.Hold
	// head is what is sent first; nil once it is sent.
	head *[]byte
}

// States of a stream: it has ended; its connection was handed over and socket is set.
const (
	streamEnded = 1 << iota
	streamAttached
)

func (s *stream) attached() bool { return s.state.Load()&streamAttached != 0 }

var (
	_ watch.Waker    = (*stream)(nil)
	_ reactor.Holder = (*stream)(nil)
)

// takeOver has the connection handed to the reactor once the handler has
// returned. If that never happens, because the connection broke, the stream ends
// too.
func (s *stream) takeOver(ctx *fasthttp.RequestCtx) {
	s.chunked = ctx.Request.Header.IsHTTP11() && !(s.form.browser && !s.form.ndjson)
	claim := time.AfterFunc(claimTimeout, s.end)
	ctx.HijackSetNoResponse(true)
	ctx.Hijack(func(conn net.Conn) {
		if !claim.Stop() {
			_ = conn.Close()
			return
		}
		head := s.appendHead(ctx)
		s.head = &head
		if err := s.owner.registry.opts.reactor.Adopt(conn, nil, s.attach); err != nil {
			s.owner.registry.opts.logger.Warn("stream not served", "err", err)
			s.end()
		}
	})
}

// attach begins the stream on its socket.
func (s *stream) attach(socket reactor.Socket) reactor.Handler {
	s.socket = socket
	s.state.Or(streamAttached)
	return s
}

// appendHead returns the response head, and what every stream begins with.
// Middleware that ran after the handler has had its say by now.
func (s *stream) appendHead(ctx *fasthttp.RequestCtx) []byte {
	h := &ctx.Response.Header
	h.SetConnectionClose()
	h.SetContentLength(-2)
	if s.chunked {
		h.SetContentLength(-1)
	}
	b := slices.Clone(h.Header())
	if s.form.ndjson {
		return b
	}
	b, start := s.openChunk(b)
	b = append(watch.AppendRetry(b, watch.RetryAfter()), '\n')
	return s.closeChunk(b, start)
}

// end closes the watch and gives the place back. It may be called twice.
func (s *stream) end() {
	if s.state.Or(streamEnded)&streamEnded == 0 {
		s.watcher.Close()
		s.hold.Close()
		s.owner.registry.leave(s)
		s.owner.registry.disown(s.owner)
	}
}

// cut ends the stream at once, whether its connection was handed over or not.
func (s *stream) cut() {
	if s.attached() {
		s.socket.Abort(os.ErrDeadlineExceeded)
	} else {
		s.end()
	}
}

// Wake implements watch.Waker.
func (s *stream) Wake(*watch.Watcher) { s.wake(reactor.Events) }

func (s *stream) wake(p reactor.Priority) {
	if s.attached() {
		s.socket.WakeAs(p)
	}
}

// Receive drops what a client sends after its request.
func (s *stream) Receive([]byte) {}

// Heavy implements reactor.Handler. The head goes out at once.
func (s *stream) Heavy() bool { return s.head == nil && s.watcher.Heavy() }

// Unsent implements reactor.Handler.
func (s *stream) Unsent(n int) error { return s.hold.Set(ratelimit.Answers, int64(n)) }

// Holds implements reactor.Holder.
func (s *stream) Holds(n int) error {
	return s.hold.Set(ratelimit.Connections, int64(streamCost+n))
}

// Closed implements reactor.Handler.
func (s *stream) Closed(err error) {
	if err != nil && !errors.Is(err, io.EOF) {
		s.owner.registry.opts.logger.Debug("stream ended", "err", err)
	}
	s.end()
}

var scratches = sync.Pool{New: func() any { return new(watch.Scratch) }}

// Fill implements reactor.Handler: all that is pending goes in one piece, which
// is a chunk where there are any, with the end of the body after the watcher's
// last message.
func (s *stream) Fill(b []byte, now time.Time) ([]byte, time.Time) {
	if s.head != nil {
		b = append(b, *s.head...)
		s.head = nil
		if s.watcher.Heavy() {
			return b, now
		}
	}
	scratch := scratches.Get().(*watch.Scratch)
	defer scratches.Put(scratch)
	b, start := s.openChunk(b)
	again, last := s.fill(&b, start, scratch, now)
	b = s.closeChunk(b, start)
	if last {
		if s.chunked {
			b = append(b, "0\r\n\r\n"...)
		}
		s.socket.Finish()
	}
	return b, again
}

// fill appends messages to b, which began at start, and returns when to ask for
// more, or that there will be none.
func (s *stream) fill(b *[]byte, start int, scratch *watch.Scratch, now time.Time) (again time.Time, last bool) {
	form := s.form.encoding()
	for len(*b)-start < reactor.Piece {
		messages, again, err := s.watcher.Poll(scratch, now)
		if err != nil {
			return now, true
		}
		// After the poll: what was polled may be sent if the caller's right holds now.
		if door := s.owner.registry.opts.door; door.Shut() != nil {
			bye := door.Hub().Farewell(watch.CodeStarting).Message()
			*b = form.Append(*b, &bye)
			return now, true
		}
		why, seen := s.owner.who.StreamEnd(s.seen.Load(), s.watcher.Names)
		if why != "" {
			denied := watch.Message{Kind: watch.Denied, Code: why}
			*b = form.Append(*b, &denied)
			return now, true
		}
		s.seen.Store(seen)
		if len(messages) == 0 {
			return again, false
		}
		for i := range messages {
			*b = form.Append(*b, &messages[i])
		}
	}
	return now, false
}

// chunkHead is the room that is left for the size of a chunk before its body.
const chunkHead = len("00000000\r\n")

// openChunk begins a chunk, if the stream is chunked, and closeChunk ends it, or
// takes it back if it is empty: start is where its body begins.
func (s *stream) openChunk(b []byte) (opened []byte, start int) {
	if s.chunked {
		b = append(b, "00000000\r\n"...)
	}
	return b, len(b)
}

func (s *stream) closeChunk(b []byte, start int) []byte {
	if !s.chunked {
		return b
	}
	size := len(b) - start
	if size == 0 {
		return b[:start-chunkHead]
	}
	const digits = "0123456789abcdef"
	for i := start - 3; size > 0; i-- {
		b[i] = digits[size&0xf]
		size >>= 4
	}
	return append(b, "\r\n"...)
}
