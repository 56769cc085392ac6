package app

import (
	"io"
	"log/slog"
	"time"

	"keywatch/kv/progress"
)

const (
	// backgroundPoll is how often it is looked whether background work takes long.
	backgroundPoll = time.Second
	// backgroundLong is after how long background work is logged, and again each time that
	// it has taken twice as long.
	backgroundLong = 30 * time.Second
)

// Kinds of background work, in the order in which /metrics lists them. All but "backup"
// and "replay" are named by the packages that do them.
var backgroundKinds = []string{"check", "load", "replay", "checkpoint", "sweep", "compact", "backup", "move", "tidy"}

// A background watches over the work that its board knows, so that none runs for ever
// without a word.
type background struct {
	board  progress.Board
	logger *slog.Logger
	// logged has the work that was logged, by id. It belongs to watch.
	logged map[uint64]loggedWork
}

// A loggedWork is background work that was logged, and from which age on it is again.
type loggedWork struct {
	progress.Report
	next time.Duration
}

// watch logs what takes long until stop is closed.
func (b *background) watch(stop <-chan struct{}) {
	b.logged = make(map[uint64]loggedWork)
	poll := time.NewTicker(backgroundPoll)
	defer poll.Stop()
	for {
		select {
		case <-poll.C:
			b.look()
		case <-stop:
			return
		}
	}
}

// look logs the work that takes long, and that of it which has ended.
func (b *background) look() {
	left := make(map[uint64]loggedWork)
	for _, r := range b.board.Running() {
		known, again := b.logged[r.ID]
		if !again {
			known.next = backgroundLong
		}
		if r.Age >= known.next {
			b.logger.Warn("background work takes long", reportAttrs(r)...)
			known.next, again = 2*r.Age, true
		}
		if again {
			left[r.ID] = loggedWork{r, known.next}
		}
	}
	for id, w := range b.logged {
		if _, runs := left[id]; !runs {
			b.logger.Warn("background work that took long has ended", "work", w.Work, "took", w.Age.Round(time.Second))
		}
	}
	b.logged = left
}

// reportAttrs returns what the log says of work under way.
func reportAttrs(r progress.Report) []any {
	attrs := []any{"work", r.Work, "for", r.Age.Round(time.Second), "done", r.Done}
	if r.Total > 0 {
		attrs = append(attrs, "of", r.Total)
	}
	return append(attrs, "unit", r.Unit, "unchanged_for", r.Unchanged.Round(time.Second))
}

// BackgroundStatus is background work under way. It is /v1/status's detail of what
// otherwise shows as load only.
type BackgroundStatus struct {
	// Work is its kind: one of check, load, replay, checkpoint, sweep, compact, backup, move, tidy.
	Work string `json:"work"`
	// AgeMS is how long ago it began, at least 1, UnchangedMS for how long Done has been the
	// same.
	AgeMS       int64 `json:"age_ms"`
	UnchangedMS int64 `json:"unchanged_ms"`
	// Done and Total count Unit; Total is left out if it is not known.
	Done  int64  `json:"done"`
	Total int64  `json:"total,omitempty"`
	Unit  string `json:"unit"`
}

// status returns the work under way, the oldest first.
func (b *background) status() (all []BackgroundStatus) {
	for _, r := range b.board.Running() {
		all = append(all, BackgroundStatus{
			Work: r.Work, AgeMS: max(1, r.Age.Milliseconds()), UnchangedMS: r.Unchanged.Milliseconds(),
			Done: r.Done, Total: r.Total, Unit: r.Unit,
		})
	}
	return all
}

// backgroundSeconds returns for how long the oldest work of a kind has been under way, 0 if
// there is none.
func (s *Status) backgroundSeconds(kind string) float64 {
	for _, b := range s.Background {
		if b.Work == kind {
			return float64(b.AgeMS) / 1e3
		}
	}
	return 0
}

// A countedWriter notes the bytes that it passes on as progress.
type countedWriter struct {
	io.Writer
	task *progress.Task
}

func (w countedWriter) Write(b []byte) (int, error) {
	n, err := w.Writer.Write(b)
	w.task.Add(int64(n))
	return n, err
}
