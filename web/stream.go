package web

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"keywatch/watch"
)

const (
	// writePiece is the most that is written to a stream under one deadline.
	writePiece = 64 << 10
	// keepBuffer is the largest buffer that is kept for other streams.
	keepBuffer = 512 << 10
	// claimTimeout is how long a connection may take to be handed over.
	claimTimeout = 30 * time.Second
)

// streamForm says how a stream is written.
type streamForm struct {
	// ndjson asks for JSON lines instead of server-sent events, named for event
	// lines.
	ndjson, named bool
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
// taken over once the handler has returned; headers set on c until then are
// sent. It fails, with nothing written, with errTooManyStreams, kv.ErrStopping
// or an error of watch.Hub.Watch.
func (s *Server) serveStream(c *fiber.Ctx, req watch.Request, form streamForm) error {
	return s.streams.serve(c, req, form)
}

// writeBye answers an EventSource, which would give up on an error for good,
// with a stream that ends at once and says when to come back.
func writeBye(c *fiber.Ctx, code Code, retry time.Duration) error {
	c.Set(fiber.HeaderContentType, streamForm{}.contentType())
	c.Set(fiber.HeaderCacheControl, "no-store")
	bye := watch.Message{Kind: watch.Bye, Code: string(code), Retry: retry}
	return c.Status(fiber.StatusOK).Send(watch.SSE.Append(nil, &bye))
}

func (r *streamRegistry) serve(c *fiber.Ctx, req watch.Request, form streamForm) error {
	req.Progress = r.opts.heartbeat
	watcher, err := r.opts.hub.Watch(req)
	if err != nil {
		return err
	}
	s := &stream{registry: r, watcher: watcher, form: form}
	if err := r.enter(s); err != nil {
		watcher.Close()
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
	c.Set(fiber.HeaderCacheControl, "no-store")
	c.Set(fiber.HeaderVary, "Accept, Origin")
	c.Set(fiber.HeaderXContentTypeOptions, "nosniff")
	c.Set("X-Accel-Buffering", "no")
	c.Set("Keywatch-Position", r.opts.hub.Position().String())
}

// A stream is one connection that gets the messages of one watcher.
type stream struct {
	registry *streamRegistry
	watcher  *watch.Watcher
	form     streamForm
	once     sync.Once

	// over is set once nothing may be written any more.
	over atomic.Bool
	// conn is the connection itself, without the server's wrapper, which is
	// used again for others.
	conn atomic.Pointer[net.Conn]
	// chunked says that the body is sent in chunks, as HTTP/1.1 does.
	chunked bool
}

// takeOver has the connection handed to run once the handler has returned. If
// that never happens, because the connection broke, the stream ends by itself.
func (s *stream) takeOver(ctx *fasthttp.RequestCtx) {
	s.chunked = ctx.Request.Header.IsHTTP11()
	claim := time.AfterFunc(claimTimeout, s.end)
	ctx.HijackSetNoResponse(true)
	ctx.Hijack(func(conn net.Conn) {
		if !claim.Stop() {
			return
		}
		defer s.end()
		own := unwrap(conn)
		s.conn.Store(&own)
		s.run(conn, s.head(ctx))
	})
}

func unwrap(conn net.Conn) net.Conn {
	if c, ok := conn.(interface{ UnsafeConn() net.Conn }); ok {
		return c.UnsafeConn()
	}
	return conn
}

// head returns the response head. Middleware that ran after the handler has had
// its say by now.
func (s *stream) head(ctx *fasthttp.RequestCtx) []byte {
	h := &ctx.Response.Header
	h.SetConnectionClose()
	h.SetContentLength(-2)
	if s.chunked {
		h.SetContentLength(-1)
	}
	return append([]byte(nil), h.Header()...)
}

// end closes the watch and gives the place back. It may be called twice.
func (s *stream) end() {
	s.once.Do(func() {
		s.watcher.Close()
		s.registry.leave(s)
	})
}

// cut makes the writes that run now and all later ones fail. A stream whose
// connection was not handed over yet ends at once.
func (s *stream) cut() {
	s.over.Store(true)
	if conn := s.conn.Load(); conn != nil {
		(*conn).SetDeadline(time.Unix(1, 0))
	} else {
		s.end()
	}
}

// run writes the stream until the watch ends, the client leaves, or it does not
// read. The server closes conn afterwards.
func (s *stream) run(conn net.Conn, head []byte) {
	ctx, cancel := context.WithCancel(context.Background())
	gone := make(chan struct{}) // closed when the reader has ended
	go func() {
		defer close(gone)
		defer cancel()
		discard(conn)
		s.cut()
	}()
	err := s.write(ctx, conn, head)
	if err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, net.ErrClosed) {
		s.registry.opts.logger.Debug("stream ended", "err", err)
	}
	conn.SetReadDeadline(time.Unix(1, 0))
	<-gone
}

// discard reads and drops what a client sends after its request, until it
// leaves.
func discard(conn net.Conn) {
	var buf [512]byte
	for {
		if _, err := conn.Read(buf[:]); err != nil {
			return
		}
	}
}

// write sends the head and then whatever the watcher has, all that is pending
// in one piece. It returns nil after the watcher's last message.
func (s *stream) write(ctx context.Context, conn net.Conn, head []byte) error {
	if !s.form.ndjson {
		retry := append(watch.AppendRetry(nil, watch.RetryAfter()), '\n')
		head = s.appendChunk(head, retry)
	}
	if err := s.send(conn, head); err != nil {
		return err
	}
	for {
		messages, err := s.watcher.Next(ctx)
		if errors.Is(err, watch.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := s.sendMessages(conn, messages); err != nil {
			return err
		}
	}
}

// appendChunk appends body to b as one chunk, if the stream is chunked.
func (s *stream) appendChunk(b, body []byte) []byte {
	if !s.chunked {
		return append(b, body...)
	}
	b = appendHex(b, len(body))
	b = append(b, "\r\n"...)
	b = append(b, body...)
	return append(b, "\r\n"...)
}

func appendHex(b []byte, n int) []byte {
	const digits = "0123456789abcdef"
	shift := 0
	for n>>shift > 0xf {
		shift += 4
	}
	for ; shift >= 0; shift -= 4 {
		b = append(b, digits[n>>shift&0xf])
	}
	return b
}

// chunkHead is the room that is left for the size of a chunk before its body.
const chunkHead = 18

var streamBuffers = sync.Pool{New: func() any { return new([]byte) }}

// sendMessages sends messages as one chunk, and the end of the body after the
// last message there will be.
func (s *stream) sendMessages(conn net.Conn, messages []watch.Message) error {
	kept := streamBuffers.Get().(*[]byte)
	b := append((*kept)[:0], make([]byte, chunkHead)...)
	form := s.form.encoding()
	for i := range messages {
		b = form.Append(b, &messages[i])
	}
	start := chunkHead
	if s.chunked {
		var size [chunkHead]byte
		line := append(appendHex(size[:0], len(b)-chunkHead), "\r\n"...)
		start -= len(line)
		copy(b[start:], line)
		b = append(b, "\r\n"...)
		if last := messages[len(messages)-1].Kind; last == watch.Bye || last == watch.Denied {
			b = append(b, "0\r\n\r\n"...)
		}
	}
	err := s.send(conn, b[start:])
	if cap(b) <= keepBuffer {
		*kept = b
		streamBuffers.Put(kept)
	}
	return err
}

// send writes b in pieces, each of which has its own time.
func (s *stream) send(conn net.Conn, b []byte) error {
	for len(b) > 0 {
		piece := b[:min(len(b), writePiece)]
		if err := conn.SetWriteDeadline(time.Now().Add(s.registry.opts.writeTimeout)); err != nil {
			return err
		}
		if s.over.Load() {
			return os.ErrDeadlineExceeded
		}
		n, err := conn.Write(piece)
		if err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}
