package web

import (
	"crypto/sha256"
	"encoding/binary"
	"strconv"
	"strings"

	"keywatch/kv"
	"keywatch/web/api"
)

// unconditional fails if the request has one of the conditions named: those
// that its route does not support. Conditions on dates, which keys do not have, are ignored
// (RFC 9110, 13.1), except that nothing is written under If-Unmodified-Since: a client that
// sends it expects no write without the condition.
func (r *request) unconditional(conditions ...field) error {
	for _, f := range conditions {
		if r.head.has(f) {
			return api.Refuse(api.CodeBadCondition, "header %s is not supported on this route", fieldNames[f])
		}
	}
	return nil
}

var fieldNames = map[field]string{
	fieldIfMatch: "If-Match", fieldIfNoneMatch: "If-None-Match", fieldIfFence: "If-Fence", fieldIdemKey: "Idempotency-Key",
	fieldIfUnmodifiedSince: "If-Unmodified-Since",
}

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
			return nil, api.Refuse(api.CodeBadCondition, "If-None-Match of a write must be *")
		}
		to = append(to, api.CheckAbsent(r.key))
	}
	return to, nil
}

func (r *request) ifMatch() (kv.Check, error) {
	text := r.head.get(fieldIfMatch)
	if string(text) == "*" {
		return api.CheckPresent(r.key), nil
	}
	tag, ok := api.ParseETag(borrow(text))
	if !ok {
		return kv.Check{}, api.Refuse(api.CodeBadCondition, `If-Match: expected one ETag as the server sent it, such as "7f3a9c21-2" with its quotes, or *`)
	}
	return api.CheckVersion(r.key, tag, r.s.door.Position().Epoch), nil
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
			return nil, api.Refuse(api.CodeBadCondition, "If-Fence: expected LOCK=TOKEN[, LOCK=TOKEN ...]")
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
	if r.head.twice(fieldIdemKey) {
		return kv.Idem{}, api.Refuse(api.CodeBadParameter, "header Idempotency-Key is repeated")
	}
	key := string(r.head.get(fieldIdemKey))
	if err := api.CheckIdemKey("Idempotency-Key", key); err != nil {
		return kv.Idem{}, err
	}
	id := kv.Idem{Caller: r.accountName(), Key: key, Fingerprint: r.fingerprint()}
	if r.who != nil && r.who.User() != "" {
		id.Scope = id.Caller
	}
	return id, nil
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
