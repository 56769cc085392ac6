package sim

import (
	"math"
	"math/rand/v2"
)

// A weather is what a history draws for itself: how often each thing happens, 0 for never. Most
// histories lack most of what is bad, so that what there is shows.
type weather struct {
	tick, carry, write, deliver, apply, offer int
	propose, read, checkpoint, compact        int

	drop, repeat, cut, mend, hang, resume, kill, power, blink, start, campaign int

	notice, transfer int

	members, join, retire int

	steps  int    // how many things happen
	waits  bool   // messages wait while their way is cut, and are not lost
	window int    // out of how many oldest messages the next is chosen
	leave  uint64 // entries that a compaction leaves before the checkpoint
}

// draw draws a weather. moving says that members change.
func draw(r *rand.Rand, moving bool) weather {
	between := func(least, most int) int { // each order of magnitude as often
		return int(float64(least) * math.Pow(float64(most)/float64(least), r.Float64()))
	}
	some := func(odds, most int) int {
		if r.IntN(100) >= odds {
			return 0
		}
		return between(1, most)
	}
	w := weather{
		tick: between(100, 600), carry: between(300, 2000),
		write: between(30, 1000), deliver: between(100, 1000), apply: between(30, 1000), offer: between(10, 300),
		propose: between(5, 200), read: between(10, 100), checkpoint: some(70, 40), compact: some(60, 20),
		drop: some(50, 100), repeat: some(40, 100), cut: some(60, 15), mend: between(2, 60), hang: some(25, 6), resume: between(2, 40),
		kill: some(40, 6), power: some(60, 10), blink: some(60, 8), start: between(20, 200), campaign: some(50, 200),
		notice: some(50, 60), transfer: some(40, 40),
		steps: stormSteps, waits: r.IntN(2) == 0, window: between(1, 50), leave: uint64(r.IntN(20)),
	}
	if r.IntN(6) == 0 { // elections and power cuts, and little else
		w.campaign, w.blink, w.steps = 150, 60, stormSteps/5
	}
	if moving {
		w.members, w.join, w.retire = between(20, 100), between(10, 30), some(70, 4)
		w.checkpoint, w.compact = w.checkpoint+10, w.compact+5
	}
	return w
}
