package kv

import (
	"hash/maphash"
	"sync/atomic"

	"github.com/puzpuzpuz/xsync/v3"
)

// shardCount is in how many maps the slots are: one that grows copies itself on
// the writer.
const shardCount = 256

// A table finds the slot of a key by the key's hash, which is computed once and
// chooses the shard too; the slot tells whether it is the right one. It belongs to
// the holder of the apply lock, but anybody may call find at any time.
type table struct {
	hash   func(key string) uint64
	shards [shardCount]*xsync.MapOf[uint64, *slot]
	// clashes holds the slots whose hash another key has taken; crowded is set
	// once there was one. With hashes of 64 bits it is all but never needed.
	clashes *xsync.MapOf[string, *slot]
	crowded atomic.Bool
}

// init makes room for presize keys.
func (t *table) init(presize int) {
	seed := maphash.MakeSeed()
	t.hash = func(key string) uint64 { return maphash.String(seed, key) }
	same := func(hash, _ uint64) uint64 { return hash }
	for i := range t.shards {
		t.shards[i] = xsync.NewMapOfWithHasher[uint64, *slot](same, xsync.WithPresize(presize/shardCount+1))
	}
	t.clashes = xsync.NewMapOf[string, *slot]()
}

// shard returns where the slot with a hash belongs. It is chosen by bits that the
// shard itself hardly uses.
func (t *table) shard(hash uint64) *xsync.MapOf[uint64, *slot] {
	return t.shards[hash>>56%shardCount]
}

// find returns the slot of key, nil if there is none.
func (t *table) find(key string) *slot {
	hash := t.hash(key)
	sl, _ := t.shard(hash).Load(hash)
	if sl != nil && sl.key() == key {
		return sl
	}
	if !t.crowded.Load() {
		return nil
	}
	sl, _ = t.clashes.Load(key)
	return sl
}

// add adds a slot whose key is not in the table.
func (t *table) add(sl *slot) {
	hash := t.hash(sl.key())
	if _, taken := t.shard(hash).LoadOrStore(hash, sl); taken {
		t.crowded.Store(true)
		t.clashes.Store(sl.key(), sl)
	}
}

// remove takes out a slot that is in the table.
func (t *table) remove(sl *slot) {
	hash := t.hash(sl.key())
	if first, _ := t.shard(hash).Load(hash); first == sl {
		t.shard(hash).Delete(hash)
		return
	}
	t.clashes.Delete(sl.key())
}
