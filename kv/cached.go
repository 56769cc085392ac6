package kv

import "strings"

// A cached entry has its value in memory although it is in a segment, because a
// reader brought it there. What a reference keeps stands behind the value, and how
// long that is in the last byte: so eviction puts the reference back, and a
// segment is alive as long as before.

// cacheValue returns e, a reference, with its value in memory.
func (e *Entry) cacheValue(value string) *Entry {
	form := e.data()
	var b strings.Builder
	b.Grow(len(value) + len(form) + 1)
	b.WriteString(value)
	b.WriteString(form)
	b.WriteByte(byte(len(form))) // hash, size and two places: below 100
	h := e.with(b.String(), TierMemory, false)
	h.cached = true
	return h
}

// inSegment reports whether the value of e is in a segment, whether or not it is
// in memory too.
func (e *Entry) inSegment() bool { return e.cached || e.referred() }

// cachedSize returns the length of the value of e, which is cached.
func (e *Entry) cachedSize() int {
	data := e.data()
	last := len(data) - 1
	return last - int(data[last])
}

// keeps returns what e, which is cold or cached, keeps of its value when it is cold.
func (e *Entry) keeps() string {
	if !e.cached {
		return e.data()
	}
	return e.data()[e.cachedSize() : e.size-1]
}

// reference returns e, whose value is in a segment, without the value.
func (e *Entry) reference() *Entry {
	if !e.cached {
		return e
	}
	return e.with(strings.Clone(e.keeps()), TierObject, true)
}
