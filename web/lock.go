package web

import (
	"strconv"

	"keywatch/kv"
	"keywatch/kv/kvjson"
	"keywatch/kv/lock"
	"keywatch/ratelimit"
	"keywatch/web/api"
)

// queueShown bounds the places in a queue that an answer shows.
const queueShown = 1000

// runLock answers the requests about locks.
func (r *request) runLock() error {
	if err := r.unconditional(fieldIfMatch, fieldIfNoneMatch); err != nil {
		return err
	}
	switch {
	case r.route == routeLockKeep:
		return r.keepLock()
	case r.method == methodPost:
		return r.takeLock()
	case r.method == methodDelete:
		return r.releaseLock()
	}
	return r.showLock()
}

// takeLock answers POST of a lock: it waits, parked, until the lock is granted,
// the time is up, or the caller has left.
func (r *request) takeLock() error {
	q, err := r.lockRequest()
	if err != nil {
		return err
	}
	if err := r.charge(ratelimit.Write, 1); err != nil {
		return err
	}
	wait := r.s.lockWaits.begin(r, &q)
	result, err := r.view().Acquire(wait.ctx, q)
	if err := wait.end(&result, err); err != nil {
		return err
	}
	c := kv.Command{Fences: q.Fences, Lock: &kv.LockCommand{Kind: kv.LockAcquire, Name: q.Name}}
	if err := r.settle(&c, &result); err != nil {
		return err
	}
	r.lockJSON(&result)
	return nil
}

// lockRequest reads a request for a lock.
func (r *request) lockRequest() (q lock.Request, err error) {
	if err := r.params.done(); err != nil {
		return q, err
	}
	c, err := r.write()
	if err != nil {
		return q, err
	}
	q = lock.Request{Name: r.key, Caller: r.accountName(), Idem: c.Idem, Fences: c.Fences}
	return q, api.ParseLock(r.body(), &q)
}

// lockJSON answers with the token and lease of a lock. What is left of the lease
// counts from when the lock was granted or renewed.
func (r *request) lockJSON(result *kv.Result) {
	l := result.Lease
	r.out = kvjson.AppendNumber(append(r.out[:0], '{'), "token", uint64(l.Token))
	r.out = l.ID.AppendTo(append(r.out, `,"lease":"`...))
	r.out = kvjson.AppendNumber(append(r.out, `",`...), "ttl_ms", uint64(l.Remaining(result.Time)))
	r.out = append(r.out, '}')
	r.json(200)
}

// keepLock answers POST of a renewal.
func (r *request) keepLock() error {
	if err := r.params.done(); err != nil {
		return err
	}
	c, err := r.write()
	if err != nil {
		return err
	}
	token, err := api.ParseLockKeep(r.body())
	if err != nil {
		return err
	}
	c.Lock = &kv.LockCommand{Kind: kv.LockKeep, Name: r.key, Token: token}
	result, err := r.do(&c, 1)
	if err != nil {
		return err
	}
	r.lockJSON(&result)
	return nil
}

// releaseLock answers DELETE of a lock.
func (r *request) releaseLock() error {
	c, err := r.write()
	if err != nil {
		return err
	}
	c.Lock = &kv.LockCommand{Kind: kv.LockRelease, Name: r.key}
	text, hasToken, err := r.params.take("token")
	if err != nil {
		return err
	}
	force, err := r.params.flag("force", false)
	if err != nil {
		return err
	}
	if err := r.params.done(); err != nil {
		return err
	}
	r.forced = force
	if hasToken == force {
		return api.Refuse(api.CodeBadParameter, "one of the parameters token and force=1 is required")
	}
	if force {
		c.Lock.Kind = kv.LockBreak
	} else if n, err := strconv.ParseUint(text, 10, 64); err != nil || n == 0 || text[0] == '+' {
		return api.Refuse(api.CodeBadParameter, "token: expected a number of at least 1, got %.80q", text)
	} else {
		c.Lock.Token = kv.Rev(n)
	}
	if _, err := r.do(&c, 1); err != nil {
		return err
	}
	r.f.Response.SetStatusCode(204)
	return nil
}

// showLock answers GET of a lock.
func (r *request) showLock() error {
	if err := r.unconditional(fieldIfFence); err != nil {
		return err
	}
	if err := r.params.done(); err != nil {
		return err
	}
	if err := r.charge(ratelimit.Read, 1); err != nil {
		return err
	}
	info, err := r.view().Lock(r.deadline(), r.key, queueShown)
	if err != nil {
		return api.ReadError(err)
	}
	r.position(info.At)
	if info.Holder == nil {
		return api.Refuse(api.CodeLockNotHeld, "lock %s is not held", r.key)
	}
	r.out = appendLock(r.out[:0], r.key, &info, r.s.door.Now())
	r.json(200)
	return nil
}

// appendLock appends the object of a lock that is held.
func appendLock(b []byte, name string, i *kv.LockInfo, now int64) []byte {
	b = kvjson.AppendString(append(b, `{"lock":`...), name)
	b = kvjson.AppendNumber(append(b, `,"holder":{`...), "token", uint64(i.Holder.Create))
	b = kvjson.AppendString(append(b, `,"owner":`...), i.Owner)
	if i.Lease.ID != (kv.LeaseID{}) {
		b = i.Lease.ID.AppendTo(append(b, `,"lease":"`...))
		b = kvjson.AppendNumber(append(b, `",`...), "ttl_ms", uint64(i.Lease.Remaining(now)))
	}
	b = append(b, `},"queue":[`...)
	for n, p := range i.Queue {
		if n > 0 {
			b = append(b, ',')
		}
		b = kvjson.AppendString(append(b, `{"key":`...), p.Key)
		b = kvjson.AppendString(append(b, `,"owner":`...), p.Owner)
		b = kvjson.AppendNumber(append(b, ','), "since", uint64(p.Since))
		b = append(b, '}')
	}
	b = kvjson.AppendNumber(append(b, `],`...), "waiting", uint64(i.Waiting))
	return append(b, '}')
}
