package web

import (
	"bytes"
	"encoding/base64"
	"net"
	"net/netip"
	"time"

	"github.com/gofiber/contrib/websocket"
	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"keywatch/ratelimit"
	"keywatch/web/api"
)

// The subprotocols of WebSockets. In SubprotocolLines one text message of the
// server may hold many objects, a line each; else each has a message of its own.
const (
	Subprotocol      = "keywatch.v1.json"
	SubprotocolLines = "keywatch.v1.ndjson"
)

const (
	headerProtocol = "Sec-WebSocket-Protocol"
	headerVersion  = "Sec-WebSocket-Version"
	headerKey      = "Sec-WebSocket-Key"
	// sessionLocal is the name under which contrib passes a session on.
	sessionLocal = "keywatch.session"
)

// newUpgrader returns what shakes hands, and then hands the connection over.
// Origins were looked at before, see guard.
func (s *Server) newUpgrader() fiber.Handler {
	return websocket.New(s.upgraded, websocket.Config{
		Subprotocols: []string{Subprotocol, SubprotocolLines}, ReadBufferSize: 128, WriteBufferSize: 128,
		RecoverHandler: func(*websocket.Conn) {
			if p := recover(); p != nil {
				s.opts.Logger.Error("upgrade panicked", "panic", p)
			}
		},
	})
}

// socket answers GET of a WebSocket.
func (r *request) socket() error {
	if err := r.handshake(); err != nil {
		return err
	}
	sub, err := r.socketWatch()
	if err != nil {
		return err
	}
	if err := r.charge(ratelimit.Watch, 1); err != nil {
		return err
	}
	s := r.s.newSession(r)
	if err := r.s.sockets.enter(s); err != nil {
		return err
	}
	if sub != nil {
		if err := s.open(0, sub.Request); err != nil {
			r.s.sockets.abandon(s)
			return err
		}
	}
	return r.upgrade(s)
}

// handshake checks what contrib does not, or would answer in its own way.
func (r *request) handshake() error {
	if err := r.unconditional(fieldIfMatch, fieldIfNoneMatch, fieldIfFence, fieldIdemKey); err != nil {
		return err
	}
	if err := r.unconditional(dated...); err != nil {
		return err
	}
	h := &r.f.Request.Header
	if r.c == nil || !h.IsHTTP11() || !websocket.IsWebSocketUpgrade(r.c) {
		r.f.Response.Header.Set("Upgrade", "websocket")
		return api.Refuse(api.CodeBadRequest, "this is a WebSocket: the request must ask to upgrade to one")
	}
	if string(h.Peek(headerVersion)) != "13" {
		r.f.Response.Header.Set(headerVersion, "13")
		return api.Refuse(api.CodeBadRequest, "version 13 of WebSocket is spoken here")
	}
	if key, err := base64.StdEncoding.Strict().DecodeString(string(h.Peek(headerKey))); err != nil || len(key) != 16 {
		return api.Refuse(api.CodeBadRequest, "%s is not 16 bytes in base64", headerKey)
	}
	return r.subprotocol()
}

// subprotocol sees to it that contrib finds the first subprotocol that both
// sides speak where it looks, if any was offered.
func (r *request) subprotocol() error {
	h := &r.f.Request.Header
	offers := h.PeekAll(headerProtocol)
	if len(offers) == 0 {
		return nil
	}
	for _, line := range offers {
		for offer := range bytes.SplitSeq(line, []byte{','}) {
			if offer = bytes.Trim(offer, " \t"); string(offer) == Subprotocol || string(offer) == SubprotocolLines {
				h.SetBytesV(headerProtocol, bytes.Clone(offer))
				return nil
			}
		}
	}
	return api.Refuse(api.CodeBadRequest, "the subprotocols are %s and %s", Subprotocol, SubprotocolLines)
}

// socketWatch reads the watch that the URL asks for, nil if it asks for none.
func (r *request) socketWatch() (*api.Watch, error) {
	sub := new(api.Watch)
	sub.Request.Keys, sub.Request.Prefixes = r.params.many("key"), r.params.many("prefix")
	if len(sub.Request.Keys)+len(sub.Request.Prefixes) == 0 {
		return nil, r.params.done()
	}
	if err := r.watchParams(sub); err != nil {
		return nil, err
	}
	if sub.Unnamed {
		return nil, api.Refuse(api.CodeBadParameter, "named is for server-sent events")
	}
	return sub, sub.Finish()
}

// A callerAddr is the address that a session's commands count for, in the
// smallest form.
type callerAddr [16]byte

// appendTo appends the address as HTTP requests from it are named.
func (a callerAddr) appendTo(b []byte) []byte { return netip.AddrFrom16(a).Unmap().AppendTo(b) }

func (s *Server) newSession(r *request) *session {
	n := &session{server: s, lines: string(r.f.Request.Header.Peek(headerProtocol)) == SubprotocolLines}
	r.findCaller()
	n.exempt = r.exempt
	if ip, err := netip.ParseAddr(string(r.caller)); err == nil {
		n.caller = ip.As16()
	}
	return n
}

// upgrade has contrib shake hands. If the connection breaks before it is handed
// over, the session ends by itself.
func (r *request) upgrade(s *session) error {
	r.c.Locals(sessionLocal, s)
	abandon := func() { s.server.sockets.abandon(s) }
	s.rarely().claim = time.AfterFunc(claimTimeout, abandon)
	if own, ok := r.f.Conn().(*conn); ok {
		own.broken = abandon
	}
	if err := s.server.upgrader(r.c); err != nil || r.f.Response.StatusCode() != fiber.StatusSwitchingProtocols {
		abandon()
		return api.Refuse(api.CodeBadRequest, "the handshake is not that of a WebSocket")
	}
	r.f.Response.Header.SetNoDefaultContentType(true)
	r.f.Response.Header.Del(fasthttp.HeaderContentType)
	return nil
}

// upgraded hands a connection over, and lets go of all that contrib made.
func (s *Server) upgraded(c *websocket.Conn) {
	n, ok := c.Locals(sessionLocal).(*session)
	if !ok || !n.taken.CompareAndSwap(false, true) {
		_ = c.Close()
		return
	}
	n.rare.claim.Stop()
	n.rare = nil
	conn := c.NetConn()
	early := earlyBytes(conn)
	if err := s.reactor.Adopt(conn, early, n.attach); err != nil {
		s.opts.Logger.Warn("take over a connection", "err", err)
		s.sockets.end(n)
	}
}

// earlyBytes returns what the server has read from conn beyond the request.
func earlyBytes(conn net.Conn) (early []byte) {
	if err := conn.SetReadDeadline(time.Unix(1, 0)); err != nil {
		return nil
	}
	var buf [512]byte
	for {
		n, err := conn.Read(buf[:])
		early = append(early, buf[:n]...)
		if err != nil {
			break
		}
	}
	_ = conn.SetReadDeadline(time.Time{})
	return early
}
