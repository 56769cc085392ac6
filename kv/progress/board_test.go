package progress_test

import (
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"keywatch/kv/progress"
)

// If this failed, an operator could not tell work that does not end from work that takes long, nor
// what it is.
func TestBoardTellsWhatRunsAndHowFarItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b progress.Board
		want := func(reports ...progress.Report) {
			t.Helper()
			got := b.Running()
			if len(got)+len(reports) > 0 && !reflect.DeepEqual(got, reports) {
				t.Errorf("got  %+v\nwant %+v", got, reports)
			}
		}
		want()
		move := b.Begin("move", "values")
		time.Sleep(time.Second)
		sweep := b.Begin("sweep", "records")
		sweep.Expect(5)
		sweep.Expect(2)
		sweep.Add(3)
		want(progress.Report{ID: 1, Work: "move", Unit: "values", Age: time.Second, Unchanged: time.Second},
			progress.Report{ID: 2, Work: "sweep", Unit: "records", Done: 3, Total: 7})
		time.Sleep(time.Second)
		move.Add(1)
		want(progress.Report{ID: 1, Work: "move", Unit: "values", Done: 1, Age: 2 * time.Second},
			progress.Report{ID: 2, Work: "sweep", Unit: "records", Done: 3, Total: 7, Age: time.Second, Unchanged: time.Second})
		move.End()
		move.End()
		want(progress.Report{ID: 2, Work: "sweep", Unit: "records", Done: 3, Total: 7, Age: time.Second, Unchanged: time.Second})
		sweep.Follow(func() int64 { return 5 })
		want(progress.Report{ID: 2, Work: "sweep", Unit: "records", Done: 5, Total: 7, Age: time.Second})
		sweep.End()
		want()
	})
}

// If this failed, work without a board would need code of its own.
func TestNoBoard(t *testing.T) {
	var b *progress.Board
	task := b.Begin("move", "values")
	task.Expect(1)
	task.Add(1)
	task.Follow(nil)
	task.End()
	if got := b.Running(); got != nil {
		t.Errorf("got %v, want nothing", got)
	}
}
