package kv

import (
	"hash/crc32"
	"unsafe"
)

// Digest returns a number that is the same for states which have the same revision and the same keys, with the same
// revisions, versions, deadlines and sizes of values. Nodes that have applied the same log must have the same: one
// that differs has another state. What values are is left to the checksums of the files that they are in. It is kept
// up to date with each change, and counted again by a Load. It means nothing with StateOptions.NoDigest.
func (s *State) Digest() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return mixed(s.mu.digest ^ uint64(s.mu.rev))
}

// digestLocked has the digest follow a change of a key from one version to another, either of which may be nil: in any
// order, what is replaced is subtracted.
func (s *State) digestLocked(key string, from, to *Entry) {
	if s.opts.NoDigest {
		return
	}
	sum := uint64(crc32.Checksum(unsafe.Slice(unsafe.StringData(key), len(key)), castagnoli))
	if from != nil && !from.Deleted() {
		s.mu.digest -= digestOf(sum, from)
	}
	if to != nil && !to.Deleted() {
		s.mu.digest += digestOf(sum, to)
	}
}

// digestOf returns what a version of the key with a checksum is in a digest.
func digestOf(key uint64, e *Entry) uint64 {
	h := mixed(key | uint64(e.Size())<<32)
	h = mixed(h ^ uint64(e.Mod))
	h = mixed(h ^ uint64(e.Create))
	return mixed(h ^ e.Version ^ uint64(e.Deadline())<<8)
}

// mixed spreads a number over all bits: the finalizer of SplitMix64 (Steele, Lea and Flood, 2014).
func mixed(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
