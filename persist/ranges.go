package persist

import (
	"encoding/binary"
	"slices"

	"keywatch/kv"
)

// Rules of sweeping; see plan.
const (
	// mergeRun is how many neighbours are merged at once. The number of ranges stays
	// below mergeRun times the number of full ranges that the records would fill.
	mergeRun = 8
	// pinnedShare is the share of deletion records, kept only because an older range
	// may hold what they hide, at which such ranges are rewritten: one in
	// pinnedShare of the live records.
	pinnedShare = 4
)

// A count is a number of records and their bytes in the file.
type count struct{ n, bytes int64 }

func (c *count) add(d count) {
	c.n += d.n
	c.bytes += d.bytes
}

func (c *count) sub(d count) {
	c.n -= d.n
	c.bytes -= d.bytes
}

// A revRange is one bucket of records: all that the file holds of the revisions
// from first to last.
//
// A record is live while its key's slot, as of the last checkpoint, names it. The others are dead: puts that a
// newer record replaced (stale), and deletions that were replaced or forgotten. A dead
// deletion cannot simply go, because at the next start the put that it hides would
// be back if an older range still had it.
type revRange struct {
	first, last kv.Rev
	// gen and first name the bucket. Generations are never used again, so the
	// leftover of a failed checkpoint is never taken for a range.
	gen uint64
	// written is the newest checkpoint with a record in this range.
	written uint64
	// swept is the newest checkpoint after which no record in it was stale.
	swept uint64
	// all counts the records in the bucket, live and stale those of them.
	all         tally
	live, stale count
	// gone lists the dead records, in no order. It is not written: loading finds
	// them again. The slots cannot be asked, because they run ahead of the file.
	gone []kv.Locator
}

// dead returns the deletions that no slot names.
func (r *revRange) dead() count {
	return count{r.all.n - r.live.n - r.stale.n, r.all.bytes - r.live.bytes - r.stale.bytes}
}

// name returns the bucket's name.
func (r *revRange) name() []byte { return rangeName(r.first, r.gen) }

func rangeName(first kv.Rev, gen uint64) []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, 16), uint64(first))
	return binary.BigEndian.AppendUint64(b, gen)
}

func (r *revRange) appendTo(b []byte) []byte {
	for _, n := range []uint64{uint64(r.first), uint64(r.last), r.gen, r.written, r.swept,
		uint64(r.live.n), uint64(r.live.bytes), uint64(r.stale.n), uint64(r.stale.bytes)} {
		b = binary.AppendUvarint(b, n)
	}
	return r.all.appendTo(b)
}

func (d *decoder) revRange() revRange {
	count := func() count { return count{int64(d.number()), int64(d.number())} }
	return revRange{
		first: kv.Rev(d.number()), last: kv.Rev(d.number()),
		gen: d.number(), written: d.number(), swept: d.number(),
		live: count(), stale: count(), all: d.tally(),
	}
}

// find returns the place of the range that holds rev, or -1.
func find(ranges []revRange, rev kv.Rev) int {
	i, exact := slices.BinarySearchFunc(ranges, rev, func(r revRange, rev kv.Rev) int {
		if r.first < rev {
			return -1
		}
		if r.first > rev {
			return 1
		}
		return 0
	})
	if !exact {
		i--
	}
	if i < 0 || ranges[i].last < rev {
		return -1
	}
	return i
}

// appendLocator appends a record's key in its bucket.
func appendLocator(b []byte, l kv.Locator) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(l.Rev))
	return binary.BigEndian.AppendUint32(b, l.Ordinal)
}

// locatorSize is the length of a record's key in bytes.
const locatorSize = 12

// parseLocator reads what appendLocator wrote.
func parseLocator(b []byte) (l kv.Locator, ok bool) {
	if len(b) != locatorSize {
		return kv.Locator{}, false
	}
	return kv.Locator{Rev: kv.Rev(binary.BigEndian.Uint64(b)), Ordinal: binary.BigEndian.Uint32(b[8:])}, true
}

// A job is a run of ranges, [from, to), to be rewritten into one.
type job struct {
	from, to int
	// bury is set when dead deletions in the run can go.
	bury bool
}

// plan returns the rewriting that is due, oldest first. No two jobs overlap.
//
// A range is rewritten when at least half of it, in records or in bytes, would go;
// a run of mergeRun neighbours when together they fill less than one range; and every
// range with stale records when deletions pinned by such ranges are too many. Each record
// rewritten by the first rule is paid for by one that is removed.
func (h *header) plan(o *Options) []job {
	unpin := h.tooManyPinned(int64(o.RangeRecords))
	var jobs []job
	clean := ^uint64(0) // checkpoint through which every older range is clean
	for i := range h.ranges {
		r := &h.ranges[i]
		bury := o.early || clean >= r.written
		gone := r.stale
		if bury {
			gone.add(r.dead())
		}
		half := gone.n*2 >= r.all.n || gone.bytes*2 >= r.all.bytes
		if half || unpin && r.stale.n > 0 {
			jobs = append(jobs, job{i, i + 1, bury})
		}
		if r.stale.n > 0 {
			clean = min(clean, r.swept)
		}
	}
	return h.planMerges(jobs, o)
}

// tooManyPinned tells whether the deletions that cannot go are too many.
func (h *header) tooManyPinned(least int64) bool {
	clean, pinned := ^uint64(0), int64(0)
	for i := range h.ranges {
		r := &h.ranges[i]
		if clean < r.written {
			pinned += r.dead().n
		}
		if r.stale.n > 0 {
			clean = min(clean, r.swept)
		}
	}
	return pinned > max(least, h.live()/pinnedShare)
}

// planMerges adds a job for each run of small neighbours that no other job touches.
func (h *header) planMerges(jobs []job, o *Options) []job {
	busy := make(map[int]bool, len(jobs))
	for _, j := range jobs {
		busy[j.from] = true
	}
	clean := ^uint64(0)
	for i := 0; i < len(h.ranges); {
		end, sum, written := i, count{}, uint64(0)
		for end < len(h.ranges) && !busy[end] {
			r := &h.ranges[end]
			sum.add(count{r.all.n, r.all.bytes})
			if sum.n > int64(o.RangeRecords) || sum.bytes > o.RangeBytes {
				break
			}
			written = max(written, r.written)
			end++
		}
		if end-i >= mergeRun {
			jobs = append(jobs, job{i, end, o.early || clean >= written})
		} else {
			end = i + 1
		}
		for ; i < end; i++ {
			if r := &h.ranges[i]; r.stale.n > 0 {
				clean = min(clean, r.swept)
			}
		}
	}
	slices.SortFunc(jobs, func(a, b job) int { return a.from - b.from })
	return jobs
}
