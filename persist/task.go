package persist

import "context"

// begin notes that work with the checkpoint file begins, of about so many records in all; 0
// if that is not known. It belongs to who has the right to change the file.
func (db *DB) begin(work string, records int64) {
	db.task = db.opts.Progress.Begin(work, "records")
	db.task.Expect(records)
}

// did notes that n more records were dealt with, and returns why the work must not go on.
func (db *DB) did(n int) error {
	db.task.Add(int64(n))
	return db.going()
}

// found notes that n more records were dealt with that were not expected.
func (db *DB) found(n int) {
	db.task.Expect(int64(n))
	db.task.Add(int64(n))
}

// records returns how many records of ranges the file has.
func (h *header) records() (n int64) {
	for i := range h.ranges {
		n += h.ranges[i].all.n
	}
	return n
}

// whileGoing returns a context that ends when work under way is given up. The function
// returned ends it earlier.
func (db *DB) whileGoing() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		defer cancel()
		select {
		case <-db.quitting:
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}
