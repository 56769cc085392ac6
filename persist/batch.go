package persist

import (
	"keywatch/kv"

	bolt "go.etcd.io/bbolt"
)

// A batch collects records for one transaction in one buffer.
type batch struct {
	buf   []byte
	items []item
}

// An item is a key and a value in a batch's buffer, and the range it belongs to.
type item struct{ key, value, end, rng int }

func (b *batch) reset() { b.buf, b.items = b.buf[:0], b.items[:0] }

// item returns the key and value of the i-th record.
func (b *batch) item(i int) (key, value []byte) {
	t := b.items[i]
	return b.buf[t.key:t.value:t.value], b.buf[t.value:t.end:t.end]
}

// record appends a record of the state.
func (b *batch) record(r kv.Record, rng int) {
	t := item{key: len(b.buf), rng: rng}
	b.buf = appendLocator(b.buf, r.Locator())
	t.value = len(b.buf)
	flag := byte(flagPut)
	if r.Entry.Deleted() {
		flag = flagDeletion
	}
	b.buf = r.AppendTo(append(b.buf, flag))
	t.end = len(b.buf)
	b.items = append(b.items, t)
}

// raw appends a record of the file.
func (b *batch) raw(key, value []byte) {
	t := item{key: len(b.buf), value: len(b.buf) + len(key), end: len(b.buf) + len(key) + len(value)}
	b.buf = append(append(b.buf, key...), value...)
	b.items = append(b.items, t)
}

// put writes the batch into the buckets of its ranges, which it makes if need be.
func (b *batch) put(tx *bolt.Tx, ranges []revRange) error {
	last := -1
	var bucket *bolt.Bucket
	for i := range b.items {
		if rng := b.items[i].rng; rng != last {
			var err error
			bucket, err = tx.Bucket(bucketRanges).CreateBucketIfNotExists(ranges[rng].name())
			if err != nil {
				return err
			}
			bucket.FillPercent = fillPercent
			last = rng
		}
		if err := bucket.Put(b.item(i)); err != nil {
			return err
		}
	}
	return nil
}

// putIdem writes the batch into the bucket of idempotency records.
func (b *batch) putIdem(tx *bolt.Tx) error {
	bucket := tx.Bucket(bucketIdem)
	bucket.FillPercent = fillPercent
	for i := range b.items {
		if err := bucket.Put(b.item(i)); err != nil {
			return err
		}
	}
	return nil
}

// full tells whether the batch is enough for one transaction.
func (b *batch) full(o *Options) bool {
	return len(b.items) >= o.TxRecords || len(b.buf) >= o.TxBytes
}
