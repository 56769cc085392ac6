package web

import (
	"context"
	"errors"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"keywatch/auth"
	"keywatch/kv"
	"keywatch/kv/trace"
	"keywatch/web/api"
)

// Names and values of headers, as they go out.
var (
	nameCacheControl = []byte("Cache-Control")
	nameVary         = []byte("Vary")
	nameSniff        = []byte("X-Content-Type-Options")
	nameCSP          = []byte("Content-Security-Policy")
	nameAllow        = []byte("Allow")
	nameETag         = []byte("ETag")
	nameRetryAfter   = []byte("Retry-After")
	namePosition     = []byte("Keywatch-Position")
	nameDurability   = []byte("Keywatch-Durability")
	nameVersion      = []byte("Keywatch-Version")
	nameCreateRev    = []byte("Keywatch-Create-Rev")
	nameTTL          = []byte("Keywatch-TTL")
	nameTier         = []byte("Keywatch-Tier")
	nameLease        = []byte("Keywatch-Lease")
	nameLag          = []byte("Keywatch-Lag")
	nameBackupSize   = []byte("Keywatch-Backup-Size")
	nameReplayed     = []byte("Idempotency-Replayed")

	valueNoStore = []byte("no-store")
	valueVary    = []byte("Accept, Origin")
	valueNosniff = []byte("nosniff")
	valueSandbox = []byte("sandbox")
	tierNames    = [kv.TierCount][]byte{[]byte("memory"), []byte("disk"), []byte("object")}
	valueTrue    = []byte("true")

	typeProblem = []byte("application/problem+json")
	typeJSON    = []byte("application/json")
	typeNDJSON  = []byte("application/x-ndjson")
	typeBytes   = []byte("application/octet-stream")
	typeText    = []byte("text/plain; charset=utf-8")
	typeYAML    = []byte("application/yaml")
	typeMetrics = []byte("text/plain; version=0.0.4; charset=utf-8")
)

// A request is one request while it is being answered. Its slices and its key
// share memory with what fasthttp read, and are good until the handler returns.
type request struct {
	s *Server
	f *fasthttp.RequestCtx
	// c is nil where fiber was not asked, because it does not know the method.
	c *fiber.Ctx
	// fast, if not nil, takes the headers of the answer.
	fast   *fastPath
	route  route
	method methods
	head   head
	// authority is that of a target in absolute form; path and query are as on the wire;
	// key is decoded and checked.
	authority, path, query []byte
	key                    string
	params                 params
	// caller, once asked for, is the address that the request counts for.
	caller []byte
	exempt bool
	// failed is the code of a problem that was answered, need the grant that was missing. actor is
	// the name that a login says, subject what a request about users and credentials is about, and
	// forced is set if it takes a lock away.
	failed               api.Code
	need, actor, subject string
	forced               bool
	// who is the caller that the credential proves; nil where there is no authentication. proved is how
	// the credential is counted once the request is answered.
	who    *auth.Caller
	proved string
	// command and op are what a put asks for. No log keeps any of them.
	command kv.Command
	op      [1]kv.Op
	// decoded and out are buffers that are kept from request to request.
	decoded, out []byte
	// kept is a buffer for bodies of up to api.FreeBytes, borrowed one of a class for
	// larger ones.
	kept, borrowed []byte
	class          int
	// mayFetch is asked before a value is fetched that is not in memory.
	mayFetch func(size int) error
	// prompt says that the request must not wait: it fails with kv.ErrWouldWait instead, and a
	// write with errBegun once it is under way. begun and then are for its result.
	prompt bool
	begun  auth.Started
	// after, if not nil, is a read barrier that is done, which holds for the request.
	after *api.Barrier
	then  func(*request, *kv.Command, *kv.Result) error
	// span, if not nil, is what is recorded of it, because it is sampled.
	span *trace.Span
	// came is when it came, since the server was made.
	came time.Duration
	// cut says that the body was not read to its end, so that the connection ends.
	cut bool
	num [32]byte
}

// keepOut is the largest out buffer that is kept from request to request.
const keepOut = 64 << 10

func (s *Server) acquire(f *fasthttp.RequestCtx, c *fiber.Ctx) *request {
	r := s.requests.Get().(*request)
	r.f, r.c, r.came = f, c, time.Since(s.born)
	return r
}

// release makes r idle again. What it still points to belongs to the server's
// own pools, and is not looked at before it is set again.
func (s *Server) release(r *request) {
	if cap(r.out) > keepOut {
		r.out = nil
	}
	r.returnBody()
	r.f, r.c, r.fast = nil, nil, nil
	r.route, r.method, r.key = routeNone, 0, ""
	r.authority, r.path, r.query = nil, nil, nil
	r.head.present, r.head.repeated = 0, 0
	r.params.names, r.params.values = r.params.names[:0], r.params.values[:0]
	r.caller, r.exempt, r.cut, r.who, r.proved = r.caller[:0], false, false, nil, ""
	r.failed, r.need, r.actor, r.subject, r.forced = "", "", "", "", false
	r.command, r.op = kv.Command{}, [1]kv.Op{}
	r.prompt, r.begun, r.after, r.then, r.span = false, auth.Started{}, nil, nil, nil
	r.out, r.decoded = r.out[:0], r.decoded[:0]
	s.requests.Put(r)
}

// serve answers one request. c is nil if fiber does not know the method, or was
// not asked because the request is on the fast path; p is nil if it is not.
func (s *Server) serve(f *fasthttp.RequestCtx, c *fiber.Ctx, p *fastPath) {
	r := s.acquire(f, c)
	r.fast = p
	if p != nil {
		p.conn.enter(phaseWorking)
	} else if own, ok := f.Conn().(*conn); ok {
		own.enter(phaseWorking)
	}
	r.common()
	_ = r.attempt((*request).answer)
	if r.cut {
		f.SetConnectionClose()
		linger(f)
	}
	r.end()
}

// attempt runs f, and answers for its failure. Of a prompt request it returns errBegun or
// kv.ErrWouldWait, which are no failures.
func (r *request) attempt(f func(*request) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			r.panicked(p)
			err = nil
		}
	}()
	if err = f(r); err == nil || r.prompt && (err == errBegun || errors.Is(err, kv.ErrWouldWait)) {
		return err
	}
	r.fail(err)
	return nil
}

// finish answers for a write that was under way, with what it came to.
func (r *request) finish(result kv.Result, err error) {
	r.prompt = false
	_ = r.attempt(func(r *request) error { return r.resume(result, err) })
	r.end()
}

// givenUp returns when the result of its write is not waited for any longer.
func (r *request) givenUp() time.Time { return r.s.born.Add(r.came + r.s.opts.RequestTimeout) }

// end counts the answer, and lets go of r.
func (r *request) end() {
	r.bodiless()
	if r.s.opts.Audit != nil {
		r.audit()
	}
	if r.proved != "" {
		r.s.door.Table().Count(r.proved)
	}
	r.s.metrics.count(r.route, r.method, r.f.Response.StatusCode())
	if !r.s.metrics.untimed {
		r.s.metrics.time(r.route, r.method, time.Since(r.s.born)-r.came)
	}
	if r.span != nil {
		r.endSpan()
	}
	r.s.release(r)
}

// panicked answers for a handler that broke, so that the server lives on.
func (r *request) panicked(p any) {
	r.s.opts.Logger.Error("handler panicked", "route", routeNames[r.route], "panic", p, "stack", string(debug.Stack()))
	r.problem(&api.Failure{Code: api.CodeInternal, Detail: "internal error"})
}

// answer lets the request in, finds its route and runs it.
func (r *request) answer() error {
	r.head.read(&r.f.Request.Header)
	r.method = methodOf(r.f.Method())
	if err := r.framed(); err != nil {
		return err
	}
	if err := r.readBody(); err != nil {
		return err
	}
	target, err := r.split()
	if err != nil {
		return err
	}
	var rest []byte
	r.route, rest = match(target)
	if r.s.opts.Tracer != nil {
		r.startSpan()
	}
	if err := r.admit(); err != nil {
		return err
	}
	if !r.s.offers(r.route) {
		r.route = routeNone
		return api.Refuse(api.CodeNoRoute, "no route for %.200q%s", r.path, routeHint(r.path))
	}
	if allowed[r.route]&r.method == 0 {
		r.header(nameAllow, lend(allowed[r.route].String()))
		return api.Refuse(api.CodeMethodNotAllowed, "method %.20q is not supported on this route: expected one of %s", r.f.Method(), allowed[r.route])
	}
	if r.method == methodOptions {
		return r.options()
	}
	if err := r.serving(); err != nil {
		return err
	}
	if err := r.authenticate(); err != nil {
		return err
	}
	switch r.route {
	case routeKey, routeCAS, routeAdd, routeTouch:
		err = r.readKey(rest)
	case routeLease, routeLeaseKeep, routeLock, routeLockKeep, routeUser, routeRole, routeAPIKey, routeSession:
		err = r.readName(rest)
	}
	if err != nil {
		return err
	}
	if err := r.params.parse(r.query); err != nil {
		return err
	}
	if r.who != nil && r.who.Kind() == auth.Ticketed {
		r.params.drop([]string{ticketParam})
	}
	return r.run()
}

// readKey decodes and checks the key that follows the route.
func (r *request) readKey(rest []byte) error {
	key, ok := unescape(r.decoded[:0], rest, false)
	if !ok {
		return api.Refuse(api.CodeBadKey, "the path has a malformed escape: expected %% and two hexadecimal digits")
	}
	if len(key) < len(rest) {
		r.decoded = key
	}
	r.key = borrow(key)
	return kv.CheckKey(r.key)
}

// run calls the handler of the route.
func (r *request) run() error {
	switch r.route {
	case routeKey:
		switch r.method {
		case methodPut:
			return r.put()
		case methodDelete:
			return r.delete()
		}
		return r.get()
	case routeKeys:
		if r.method == methodDelete {
			return r.deletePrefix()
		}
		return r.list()
	case routeAdd:
		return r.add()
	case routeTouch:
		return r.touch()
	case routeCAS:
		return r.cas()
	case routeBatch:
		return r.batch()
	case routeWatch:
		return r.watch()
	case routePage:
		return r.page()
	case routeSocket:
		return r.socket()
	case routeLeases, routeLease, routeLeaseKeep:
		return r.runLease()
	case routeLock, routeLockKeep:
		return r.runLock()
	}
	if r.route.account() {
		return r.accounts()
	}
	return r.operate()
}

// deadline returns the context that the request waits for the log, and reads values, under.
func (r *request) deadline() context.Context {
	return trace.With(r.s.waits.Context(), r.span)
}

// body returns the request's body as it was sent.
func (r *request) body() []byte { return r.f.Request.Body() }

// header sets a header, whose name must be in its final form.
func (r *request) header(name, value []byte) {
	if r.fast != nil {
		r.fast.header(name, value)
		return
	}
	r.f.Response.Header.SetCanonical(name, value)
}

// number sets a header to a number.
func (r *request) number(name []byte, n uint64) {
	r.header(name, strconv.AppendUint(r.num[:0], n, 10))
}

// common sets what every answer says.
func (r *request) common() {
	if r.fast != nil {
		r.fast.common()
		return
	}
	r.s.common.CopyTo(&r.f.Response.Header)
}

// commonHeader returns a header with what every answer says. Copying it is
// cheaper than setting each line.
func commonHeader() *fasthttp.ResponseHeader {
	h := new(fasthttp.ResponseHeader)
	fresh := fasthttp.AcquireResponse()
	defer fasthttp.ReleaseResponse(fresh)
	fresh.Header.CopyTo(h)
	h.SetCanonical(nameCacheControl, valueNoStore)
	h.SetCanonical(nameVary, valueVary)
	h.SetCanonical(nameSniff, valueNosniff)
	h.SetContentTypeBytes(typeProblem)
	return h
}

// bodiless removes the type of the body where there is none.
func (r *request) bodiless() {
	if status := r.f.Response.StatusCode(); status == 204 || status == 304 {
		r.f.Response.Header.SetContentType("")
	}
}

// position says at which position the answer stands.
func (r *request) position(at kv.Position) { r.header(namePosition, at.AppendTo(r.num[:0])) }

// etag sets the entity tag of a version.
func (r *request) etag(epoch kv.Epoch, rev kv.Rev) {
	r.header(nameETag, api.AppendETag(r.num[:0], epoch, rev))
}

// json answers with r.out, and a newline for those who read it in a terminal.
func (r *request) json(status int) {
	r.f.Response.SetStatusCode(status)
	r.f.Response.Header.SetContentTypeBytes(typeJSON)
	r.out = append(r.out, '\n')
	r.send()
}

// send answers with r.out. What is large is handed over, not copied.
func (r *request) send() {
	if len(r.out) <= copyMax {
		r.f.Response.SetBody(r.out)
		return
	}
	r.account().answered(cap(r.out))
	r.f.Response.SetBodyRaw(r.out)
	r.out = nil
}
