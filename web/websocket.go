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

	"keywatch/auth"
	"keywatch/ratelimit"
	"keywatch/web/api"
	"keywatch/web/ws"
)

const (
	headerProtocol = "Sec-WebSocket-Protocol"
	headerVersion  = "Sec-WebSocket-Version"
	headerKey      = "Sec-WebSocket-Key"
	// handshakeLocal is the name under which contrib passes a ws.Handshake on.
	handshakeLocal = "keywatch.handshake"
)

// newSockets returns what serves WebSockets, which count with the streams.
func (s *Server) newSockets() (*ws.Server, error) {
	o := &s.opts
	return ws.New(ws.Options{
		Door: s.door, Unproved: &s.unproved, Limiter: o.Limiter, Budget: o.Budget, Reactor: s.reactor, Deadlines: s.waits, Tracer: o.Tracer,
		Max: o.MaxStreams, Others: s.streams.Len, Full: s.streams.opts.full,
		MaxBody: o.MaxBody, Heartbeat: o.Heartbeat, Durability: func() []byte { return s.team.now().durability },
		Refused: func(code api.Code) { s.metrics.refuse(code) }, Denied: s.auditDenied, Logger: o.Logger,
	})
}

// newUpgrader returns what shakes hands, and then hands the connection over.
// Origins were looked at before, see guard.
func (s *Server) newUpgrader() fiber.Handler {
	return websocket.New(s.upgraded, websocket.Config{
		Subprotocols: []string{ws.Subprotocol, ws.SubprotocolLines}, ReadBufferSize: 128, WriteBufferSize: 128,
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
	if err := r.mayConnect(sub); err != nil {
		return err
	}
	if err := r.charge(ratelimit.Watch, 1); err != nil {
		return err
	}
	lines := string(r.f.Request.Header.Peek(headerProtocol)) == ws.SubprotocolLines
	h, err := r.s.sockets.Begin(r.socketCaller(), lines)
	if err != nil {
		return err
	}
	if sub != nil {
		if err := h.Watch(sub.Request); err != nil {
			h.Abandon()
			return err
		}
	}
	return r.upgrade(h)
}

// mayConnect refuses the socket of a caller without a credential that may do nothing, unless it is
// opened to prove first who the caller is: browsers send no credential with a handshake.
func (r *request) mayConnect(sub *api.Watch) error {
	if sub != nil && r.who != nil && r.who.Kind() == auth.Anonymous && r.who.Look().Empty() {
		return &auth.FailedError{Reason: auth.Missing}
	}
	return nil
}

// socketCaller returns for whom the commands of a socket count.
func (r *request) socketCaller() ws.Caller {
	r.findCaller()
	addr, _ := netip.ParseAddr(borrow(r.caller))
	return ws.Caller{Addr: addr, Who: r.who, Below: heldBelow(r.f.Conn()), Exempt: r.exempt && r.who == nil}
}

// handshake checks what contrib does not, or would answer in its own way.
func (r *request) handshake() error {
	if err := r.unconditional(fieldIfMatch, fieldIfNoneMatch, fieldIfFence, fieldIdemKey); err != nil {
		return err
	}
	h := &r.f.Request.Header
	if r.c == nil || !h.IsHTTP11() || !websocket.IsWebSocketUpgrade(r.c) {
		r.f.Response.Header.Set("Upgrade", "websocket")
		return api.Refuse(api.CodeBadRequest, "expected the handshake of a WebSocket: headers Connection: Upgrade and Upgrade: websocket")
	}
	if string(h.Peek(headerVersion)) != "13" {
		r.f.Response.Header.Set(headerVersion, "13")
		return api.Refuse(api.CodeBadRequest, "unsupported WebSocket version: use Sec-WebSocket-Version: 13")
	}
	if key, err := base64.StdEncoding.Strict().DecodeString(string(h.Peek(headerKey))); err != nil || len(key) != 16 {
		return api.Refuse(api.CodeBadRequest, "%s: expected 16 bytes in base64", headerKey)
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
			if offer = bytes.Trim(offer, " \t"); string(offer) == ws.Subprotocol || string(offer) == ws.SubprotocolLines {
				h.SetBytesV(headerProtocol, bytes.Clone(offer))
				return nil
			}
		}
	}
	return api.Refuse(api.CodeBadRequest, "unsupported subprotocol: use %s or %s", ws.Subprotocol, ws.SubprotocolLines)
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
		return nil, api.Refuse(api.CodeBadParameter, "parameter named applies to server-sent events only")
	}
	return sub, sub.Finish()
}

// upgrade has contrib shake hands. If the connection breaks before it is handed
// over, the socket is given up.
func (r *request) upgrade(h ws.Handshake) error {
	r.c.Locals(handshakeLocal, h)
	if own, ok := r.f.Conn().(*conn); ok {
		own.needRare().broken = h.Abandon
	}
	if err := r.s.upgrader(r.c); err != nil || r.f.Response.StatusCode() != fiber.StatusSwitchingProtocols {
		h.Abandon()
		return api.Refuse(api.CodeBadRequest, "the handshake is not one of a WebSocket")
	}
	r.f.Response.Header.SetNoDefaultContentType(true)
	r.f.Response.Header.Del(fasthttp.HeaderContentType)
	return nil
}

// upgraded hands a connection over, and lets go of all that contrib made.
func (s *Server) upgraded(c *websocket.Conn) {
	h, ok := c.Locals(handshakeLocal).(ws.Handshake)
	if !ok {
		_ = c.Close()
		return
	}
	conn := c.NetConn()
	if err := h.Adopt(conn, earlyBytes(conn)); err != nil {
		s.opts.Logger.Warn("take over a connection", "err", err)
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
