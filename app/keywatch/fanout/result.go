package fanout

// A Result is what a run found. Sizes are in bytes.
type Result struct {
	Transport Transport `json:"transport"`
	Watchers  int       `json:"watchers"`
	Watches   int       `json:"watches"` // in all
	Stalled   int       `json:"stalled"`
	Keys      int       `json:"keys"`
	// Opened is how many seconds it took until all watches were complete.
	Opened float64 `json:"opened_s"`
	// Process is what the server's processes used; nil if they cannot be seen.
	Process *Process `json:"process,omitempty"`
	Heap    *Heap    `json:"heap,omitempty"`

	// Seconds is how long values were published, Published how many were
	// acknowledged, Expected how many of them watchers that read were to get.
	Seconds   float64        `json:"seconds"`
	Published uint64         `json:"published"`
	Errors    map[string]int `json:"errors,omitempty"`
	// Again is how many requests keywatch refused, which were then sent again.
	Again     int    `json:"again,omitempty"`
	Expected  uint64 `json:"expected"`
	Delivered uint64 `json:"delivered"`
	Lost      uint64 `json:"lost"`
	Counts    Counts `json:"counts"`
	// CameBack is, for each drop, how many seconds it took until all watches
	// were complete again.
	CameBack []float64 `json:"came_back_s,omitempty"`
}

// A Process is what the server used.
type Process struct {
	PIDs []int `json:"pids"`
	// RSSBefore is before the first watcher, RSSOpen with all of them idle,
	// RSSAfter at the end.
	RSSBefore int64 `json:"rss_before"`
	RSSOpen   int64 `json:"rss_open"`
	RSSAfter  int64 `json:"rss_after"`
	// PerWatcher is RSSOpen less RSSBefore, for each connection.
	PerWatcher float64 `json:"rss_per_watcher"`
	// FDsOpen counts descriptors with all watchers connected.
	FDsBefore int `json:"fds_before"`
	FDsOpen   int `json:"fds_open"`
	FDsAfter  int `json:"fds_after"`
	// CPU is seconds of processor time from the first value published to the
	// last delivered, PerEvent microseconds of it for each value delivered.
	CPU      float64 `json:"cpu_s"`
	PerEvent float64 `json:"cpu_us_per_event"`
}

// Heap is what a server of keywatch says of its own memory.
type Heap struct {
	Before     float64 `json:"in_use_before"`
	Open       float64 `json:"in_use_open"`
	PerWatcher float64 `json:"in_use_per_watcher"`
	Stacks     float64 `json:"stacks_per_watcher"`
	Goroutines float64 `json:"goroutines_open"`
}

// Whole reports whether every value came to every watcher that was to get it,
// once, in order, and to no other.
func (r *Result) Whole() bool {
	c := r.Counts
	return r.Lost == 0 && c.Gaps == 0 && c.Duplicates == 0 && c.Disordered == 0 && c.Misdelivered == 0 && len(r.Errors) == 0
}

// Counts are what watchers saw. Unique, Duplicates and Disordered add up to the
// stamps that came where they belong.
type Counts struct {
	// Unique counts first deliveries in order, Gaps values that were missing
	// when a later one of the same series came.
	Unique uint64 `json:"unique"`
	Gaps   uint64 `json:"gaps"`
	// Duplicates came a second time at once, Disordered after a later one.
	Duplicates uint64 `json:"duplicates"`
	Disordered uint64 `json:"disordered"`
	// Misdelivered are values of keys that the watcher did not ask for.
	Misdelivered uint64 `json:"misdelivered"`
	// Resyncs and Resets count streams that the server could not simply
	// continue, Breaks connections that ended without being dropped, Refused
	// those that were answered with an error.
	Resyncs uint64 `json:"resyncs"`
	Resets  uint64 `json:"resets"`
	Breaks  uint64 `json:"breaks"`
	Refused uint64 `json:"refused"`
}
