package web

import (
	"errors"
	"io"
	"sync"

	"github.com/valyala/fasthttp"

	"keywatch/auth"
	"keywatch/kv"
	"keywatch/ratelimit"
	"keywatch/web/api"
)

// nameTooLarge marks a request that announces more than there may be. No client can send
// such a name.
var nameTooLarge = []byte("body too large")

// markLarge takes a body that is announced as too large away, before fasthttp asks for it by
// 100 Continue or waits for its first byte, and leaves a mark for readBody.
func (s *Server) markLarge(h *fasthttp.RequestHeader) (none fasthttp.RequestConfig) {
	switch length := h.ContentLength(); {
	case length > s.opts.MaxBody:
		h.SetCanonical(nameTooLarge, []byte(api.CodeBodyTooLarge))
	case length > s.door.Limits().Value && h.IsPut() && isKeyPath(h.RequestURI()) && len(h.Peek("Expect")) > 0:
		h.SetCanonical(nameTooLarge, []byte(api.CodeValueTooLarge))
	default:
		return none
	}
	h.SetContentLength(0)
	h.Del("Expect")
	return none
}

// tooLarge returns the failure of a request that markLarge has marked.
func (s *Server) tooLarge(mark []byte) *api.Failure {
	if string(mark) == string(api.CodeValueTooLarge) {
		return api.FailureOf(api.WithLimit(kv.ErrValueTooLarge, s.door.Limits()))
	}
	return s.malformedFailure(fasthttp.ErrBodyTooLarge)
}

// readBody reads the body, if there is one. It allocates as the body arrives, not as it
// was announced, and charges what is large. A body that comes slowly but steadily takes
// what it takes. It fails with what malformedFailure knows, or a *ratelimit.FullError;
// then the connection cannot be used any more.
func (r *request) readBody() error {
	req := &r.f.Request
	if !req.IsBodyStream() {
		return nil
	}
	if mark := req.Header.PeekBytes(nameTooLarge); len(mark) > 0 && req.Header.ContentLength() == 0 {
		r.cut = true
		return r.s.tooLarge(mark)
	}
	if err := r.mayUpload(req.Header.ContentLength()); err != nil {
		r.cut = true
		return err
	}
	own := r.connection()
	if own != nil {
		own.beginBody()
		defer own.enter(phaseWorking)
	}
	body, err := r.readStream(req.BodyStream(), req.Header.ContentLength())
	if err != nil {
		r.cut = true
		if full, ok := errors.AsType[*ratelimit.FullError](err); ok && full.Never {
			return &api.Failure{
				Code: api.CodeBodyTooLarge, Limit: int(full.Limit), Cause: err,
				Detail: "the body is larger than " + flagOf(full) + " allows for one request",
			}
		} else if ok {
			return full
		}
		if short, ok := errors.AsType[*api.Failure](err); ok {
			return short
		}
		return r.s.malformedFailure(err)
	}
	req.SetBodyRaw(body)
	return nil
}

// unprovedBody is the largest body that is read of who may do nothing, in bytes.
const unprovedBody = 64 << 10

// mayUpload refuses a large body, or one of unknown length, of who may do nothing: it would take
// memory before it is known who sends it.
func (r *request) mayUpload(length int) error {
	table := r.s.door.Table()
	if table == nil || length >= 0 && length <= unprovedBody {
		return nil
	}
	who, err := r.identity(table)
	if err == nil && who.Kind() == auth.Anonymous && who.Look().Empty() {
		err = &auth.FailedError{Reason: auth.Missing}
	}
	if err != nil {
		table.Count(auth.ResultOf(nil, err))
	}
	return err
}

// readStream reads a body of length bytes; a negative length is not known.
func (r *request) readStream(stream io.Reader, length int) ([]byte, error) {
	b := r.kept[:0]
	for length < 0 || len(b) < length {
		if len(b) == cap(b) {
			var err error
			if b, err = r.growBody(b, length); err != nil {
				return nil, err
			}
		}
		n, err := stream.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		switch {
		case len(b) > r.s.opts.MaxBody:
			return nil, fasthttp.ErrBodyTooLarge
		case err == io.EOF && len(b) < length:
			return nil, io.ErrUnexpectedEOF
		case err == io.EOF:
			length = len(b)
		case err != nil:
			return nil, err
		}
	}
	if cap(b) <= api.FreeBytes {
		r.kept = b
	}
	return b, nil
}

// growBody returns b with more room for a body of length bytes. Where that is not known
// room for one byte more than there may be shows that there are more.
func (r *request) growBody(b []byte, length int) ([]byte, error) {
	most := r.s.opts.MaxBody + 1
	if length >= 0 {
		most = length
	}
	size, class := bodySize(len(b), most)
	if own := r.account(); own != nil && size > api.FreeBytes {
		if err := own.charge(ratelimit.Requests, &own.bodyBytes, size); err != nil {
			return nil, err
		}
	}
	grown := append(r.s.bodies.take(size, class), b...)
	r.returnBody()
	if class >= 0 {
		r.borrowed, r.class = grown, class
	}
	return grown, nil
}

// returnBody gives a borrowed buffer back.
func (r *request) returnBody() {
	if b := r.borrowed; b != nil {
		r.s.bodies.pools[r.class].Put(&b)
		r.borrowed = nil
	}
}

// bodyClasses are the sizes of the buffers for bodies that are used again. A body gets
// the next one when it has filled the one before.
var bodyClasses = [...]int{64 << 10, 256 << 10, 1 << 20}

// bodySize returns how large the buffer is that follows one of have bytes, where most
// are needed, and its class, -1 if it has none.
func bodySize(have, most int) (size, class int) {
	if have < api.FreeBytes {
		return min(most, api.FreeBytes), -1
	}
	for i, size := range bodyClasses {
		if size > have {
			return size, i
		}
	}
	return min(most, 4*have), -1
}

// bodies holds idle buffers for bodies, by class.
type bodies struct {
	pools [len(bodyClasses)]sync.Pool
}

// take returns an empty buffer.
func (p *bodies) take(size, class int) []byte {
	if class >= 0 {
		if b, ok := p.pools[class].Get().(*[]byte); ok {
			return (*b)[:0]
		}
	}
	return make([]byte, 0, size)
}
