package policy

import (
	"iter"
	"math/rand/v2"
)

// A Trace describes a sequence of reads of keys, numbered from 0.
type Trace struct {
	Seed uint64
	// Keys is the number of keys, Reads how many reads there are.
	Keys, Reads int
	// Skew is the exponent of the Zipf distribution that keys are drawn from.
	Skew float64
	// Scan is the share of reads that belong to scans: runs of ScanLength
	// neighbouring keys, each read once.
	Scan       float64
	ScanLength int
	// Shift, if not zero, is after how many reads another set of keys becomes
	// popular: popularity moves on by a tenth of the keys.
	Shift int
}

// All yields the keys in order of the reads; the same Trace always yields the
// same.
func (t Trace) All() iter.Seq[int] {
	return func(yield func(int) bool) {
		rnd := rand.New(rand.NewPCG(t.Seed, 1))
		zipf := rand.NewZipf(rnd, t.Skew, 1, uint64(t.Keys-1))
		order := rnd.Perm(t.Keys)
		offset, scanning, at := 0, 0, 0
		for i := range t.Reads {
			if t.Shift > 0 && i > 0 && i%t.Shift == 0 {
				offset += t.Keys / 10
			}
			if scanning == 0 && t.Scan > 0 && rnd.Float64() < t.Scan/float64(t.ScanLength)/(1-t.Scan) {
				scanning, at = t.ScanLength, rnd.IntN(t.Keys)
			}
			var key int
			if scanning > 0 {
				scanning--
				key = at % t.Keys
				at++
			} else {
				key = order[(int(zipf.Uint64())+offset)%t.Keys]
			}
			if !yield(key) {
				return
			}
		}
	}
}
