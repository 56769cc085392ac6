package web

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"strconv"
	"strings"

	"keywatch/kv"
)

// appendETag appends the entity tag of a version: its epoch and revision.
func appendETag(b []byte, epoch kv.Epoch, rev kv.Rev) []byte {
	b = append(b, '"')
	b = kv.Position{Epoch: epoch, Rev: rev}.AppendTo(b)
	return append(b, '"')
}

// parseETag reads one entity tag; W/ is allowed and means nothing here.
func parseETag(text []byte) (kv.Position, bool) {
	text = bytes.TrimPrefix(text, []byte("W/"))
	if len(text) < 2 || text[0] != '"' || text[len(text)-1] != '"' {
		return kv.Position{}, false
	}
	p, err := kv.ParsePosition(borrow(text[1 : len(text)-1]))
	return p, err == nil
}

// unconditional fails if the request has one of the conditions named: those
// that its route does not take.
func (r *request) unconditional(conditions ...field) error {
	for _, f := range conditions {
		if r.head.has(f) {
			return refuse(CodeBadCondition, "the header %s is not taken here", fieldNames[f])
		}
	}
	return nil
}

var fieldNames = map[field]string{
	fieldIfMatch: "If-Match", fieldIfNoneMatch: "If-None-Match", fieldIfFence: "If-Fence",
	fieldIfModifiedSince: "If-Modified-Since", fieldIfUnmodifiedSince: "If-Unmodified-Since",
	fieldIfRange: "If-Range",
}

// dated are the conditions on dates, which keys do not have.
var dated = []field{fieldIfModifiedSince, fieldIfUnmodifiedSince, fieldIfRange}

// checks appends the checks that If-Match and If-None-Match: * stand for.
func (r *request) checks(to []kv.Check) ([]kv.Check, error) {
	if r.head.has(fieldIfMatch) {
		check, err := r.ifMatch()
		if err != nil {
			return nil, err
		}
		to = append(to, check)
	}
	if r.head.has(fieldIfNoneMatch) {
		if string(r.head.get(fieldIfNoneMatch)) != "*" {
			return nil, refuse(CodeBadCondition, "If-None-Match of a write is *")
		}
		to = append(to, kv.Check{Kind: kv.CheckRev, Key: r.key})
	}
	return to, nil
}

func (r *request) ifMatch() (kv.Check, error) {
	text := r.head.get(fieldIfMatch)
	if string(text) == "*" {
		return kv.Check{Kind: kv.CheckExists, Key: r.key, N: 1}, nil
	}
	tag, ok := parseETag(text)
	if !ok {
		return kv.Check{}, refuse(CodeBadCondition, "If-Match is one ETag as the server sent it, or *")
	}
	check := kv.Check{Kind: kv.CheckRev, Key: r.key, N: uint64(tag.Rev)}
	// No version has revision 0, which to a check means that the key is absent.
	if tag.Rev == 0 || tag.Epoch != r.s.opts.Store.State().Position().Epoch {
		check.N = kv.NeverRev
	}
	return check, nil
}

// fences parses If-Fence: lock=token, comma-separated.
func (r *request) fences() (fences []kv.Fence, err error) {
	if !r.head.has(fieldIfFence) {
		return nil, nil
	}
	for part := range strings.SplitSeq(string(r.head.get(fieldIfFence)), ",") {
		lock, token, ok := strings.Cut(strings.Trim(part, " \t"), "=")
		n, err := strconv.ParseUint(token, 10, 64)
		if !ok || !kv.LockName(lock) || err != nil || n == 0 || token[0] == '+' {
			return nil, refuse(CodeBadCondition, "If-Fence is <lock>=<token>[, ...]")
		}
		fences = append(fences, kv.Fence{Lock: lock, Token: kv.Rev(n)})
	}
	return fences, nil
}

// idem returns what makes the request repeatable, the zero Idem without an
// Idempotency-Key. The fingerprint covers the method, the route and key, the
// query, the conditions, the fences and the body.
func (r *request) idem() (kv.Idem, error) {
	if !r.head.has(fieldIdemKey) {
		return kv.Idem{}, nil
	}
	key := r.head.get(fieldIdemKey)
	if len(key) == 0 || len(key) > maxIdemKey || r.head.twice(fieldIdemKey) {
		return kv.Idem{}, refuse(CodeBadParameter, "Idempotency-Key is one text of 1 to %d characters", maxIdemKey)
	}
	for _, c := range key {
		if c <= ' ' || c > '~' {
			return kv.Idem{}, refuse(CodeBadParameter, "Idempotency-Key is visible ASCII")
		}
	}
	return kv.Idem{Caller: string(r.callerName()), Key: string(key), Fingerprint: r.fingerprint()}, nil
}

func (r *request) fingerprint() (sum [16]byte) {
	h := sha256.New()
	var size [8]byte
	for _, part := range [...][]byte{
		r.f.Method(), lend(routeNames[r.route]), lend(r.key), r.query,
		r.head.get(fieldIfMatch), r.head.get(fieldIfNoneMatch), r.head.get(fieldIfFence), r.body(),
	} {
		binary.LittleEndian.PutUint64(size[:], uint64(len(part)))
		h.Write(size[:])
		h.Write(part)
	}
	copy(sum[:], h.Sum(nil))
	return sum
}
