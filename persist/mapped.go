package persist

import (
	"os"
	"sync/atomic"

	bolt "go.etcd.io/bbolt"
)

const (
	// mappedMax is about how many bytes of mapped files may stay in this process's
	// memory beyond those that were there after the last look.
	mappedMax = 32 << 20
	// mappedLook is after how many reads of cold values it is looked.
	mappedLook = 128
)

// A mapped keeps the pages of the checkpoint file that were read from counting as
// this process's memory. The file is mapped, and whatever is read once would stay:
// in the end the whole file, and with it all the values that were dropped from
// memory. What is given back stays in the system's page cache for as long as
// the room is not needed. It is safe for concurrent use.
type mapped struct {
	own   *os.File // says how much there is; nil where nothing can be said
	reads atomic.Uint64
	base  atomic.Int64 // bytes of mapped files after the last time
	busy  atomic.Bool
	given atomic.Uint64 // how often
}

func openMapped() *mapped {
	m := &mapped{own: openResident()}
	m.base.Store(m.resident())
	return m
}

func (m *mapped) close() {
	if m.own != nil {
		_ = m.own.Close() // it was only read
	}
}

// look gives the pages back if there are too many. It is called within tx, so that
// the file stays mapped where it is; what tx has read is read again from the page
// cache when it is used again.
func (m *mapped) look(tx *bolt.Tx) {
	if m.own == nil || m.resident()-m.base.Load() <= mappedMax || !m.busy.CompareAndSwap(false, true) {
		return
	}
	defer m.busy.Store(false)
	giveBack(tx.DB().Info().Data, uintptr(tx.Size()))
	m.base.Store(m.resident())
	m.given.Add(1)
}

// read is look for those who read little.
func (m *mapped) read(tx *bolt.Tx) {
	if m.reads.Add(1)%mappedLook == 0 {
		m.look(tx)
	}
}
