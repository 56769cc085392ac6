package web

import (
	"errors"
	"io"

	"github.com/valyala/fasthttp"

	"keywatch/ratelimit"
	"keywatch/web/api"
)

// nameTooLarge marks a request that announces more than there may be. No client can send
// such a name.
var nameTooLarge = []byte("body too large")

// markLarge takes a body that is announced as too large away, before fasthttp waits for
// its first byte, and leaves a mark for readBody.
func (s *Server) markLarge(h *fasthttp.RequestHeader) (none fasthttp.RequestConfig) {
	if h.ContentLength() > s.opts.MaxBody {
		h.SetContentLength(0)
		h.SetCanonical(nameTooLarge, nameTooLarge)
	}
	return none
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
	if req.Header.ContentLength() == 0 && len(req.Header.PeekBytes(nameTooLarge)) > 0 {
		r.cut = true
		return malformedFailure(fasthttp.ErrBodyTooLarge, r.s.opts.MaxBody)
	}
	own := r.connection()
	if own != nil {
		own.beginBody()
		defer own.enter(phaseWorking)
	}
	body, err := r.readStream(req.BodyStream(), req.Header.ContentLength())
	if err != nil {
		r.cut = true
		if full, ok := errors.AsType[*ratelimit.FullError](err); ok {
			return full
		}
		return malformedFailure(err, r.s.opts.MaxBody)
	}
	req.SetBodyRaw(body)
	return nil
}

// readStream reads a body of length bytes; a negative length is not known.
func (r *request) readStream(stream io.Reader, length int) ([]byte, error) {
	most := r.s.opts.MaxBody
	b := r.kept[:0]
	for {
		if len(b) == cap(b) {
			var err error
			if b, err = r.growBody(b, length); err != nil {
				return nil, err
			}
		}
		n, err := stream.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		switch {
		case len(b) > most:
			return nil, fasthttp.ErrBodyTooLarge
		case err == io.EOF && length >= 0 && len(b) < length:
			return nil, io.ErrUnexpectedEOF
		case err == io.EOF:
			if cap(b) <= api.FreeBytes {
				r.kept = b
			}
			return b, nil
		case err != nil:
			return nil, err
		}
	}
}

// growBody returns b with more room for a body of length bytes. Room for one byte more
// than there can be shows that there are no more.
func (r *request) growBody(b []byte, length int) ([]byte, error) {
	most := r.s.opts.MaxBody
	if length >= 0 {
		most = length
	}
	size := min(most+1, max(minBody, 4*cap(b)))
	if own := r.account(); own != nil && size > api.FreeBytes {
		if err := own.charge(ratelimit.Requests, &own.bodyBytes, size); err != nil {
			return nil, err
		}
	}
	grown := make([]byte, len(b), size)
	copy(grown, b)
	return grown, nil
}

// minBody is the smallest buffer for a body.
const minBody = 4 << 10
