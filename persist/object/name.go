package object

import (
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strings"

	"keywatch/kv"
)

// Suffix ends the name of every segment.
const Suffix = ".seg"

// A StoreID names the store that owns a segment. It is drawn at random once
// and survives restores, which change the epoch.
type StoreID uint64

// String returns 16 hexadecimal digits.
func (s StoreID) String() string { return fmt.Sprintf("%016x", uint64(s)) }

// An ID names a segment: who made it, in which history, and its number there, which
// is never used twice.
type ID struct {
	Store StoreID
	Epoch kv.Epoch
	Seq   uint64
}

const (
	// drawn is set in each number that drawNumber returns. Earlier releases counted from
	// the clock's milliseconds, which do not reach it.
	drawn uint64 = 1 << 63
	// chanceBits are the lowest bits of a number, which are random.
	chanceBits = 20
)

// drawNumber returns a number for a process that has applied the log up to applied.
// Whatever the log refers to was named before its reference was in the log, so under a
// lower index: its number is never returned again, whether or not the object was
// deleted. The random bits tell apart what is named at one index: by two leaders in
// turn, by two copies of a data folder, or before references that never came.
func drawNumber(applied uint64) uint64 {
	return drawn | applied<<chanceBits | rand.Uint64N(1<<chanceBits)
}

// Prefix returns what the names of all segments of this store and epoch begin
// with.
func Prefix(store StoreID, epoch kv.Epoch) string { return store.String() + "/" + epoch.String() + "/" }

// Name returns the segment's name: <store>/<epoch>/<number>.seg, all in
// hexadecimal digits of fixed length, so that names sort by number.
func (id ID) Name() string {
	return fmt.Sprintf("%s%016x%s", Prefix(id.Store, id.Epoch), id.Seq, Suffix)
}

// ParseName reads what Name wrote; ok is false for any other text.
func ParseName(name string) (id ID, ok bool) {
	parts := strings.Split(strings.TrimSuffix(name, Suffix), "/")
	if len(parts) != 3 || !strings.HasSuffix(name, Suffix) {
		return ID{}, false
	}
	store, ok1 := parseHex(parts[0], 8)
	epoch, ok2 := parseHex(parts[1], 4)
	seq, ok3 := parseHex(parts[2], 8)
	id = ID{StoreID(store), kv.Epoch(epoch), seq}
	return id, ok1 && ok2 && ok3 && id.Name() == name
}

func parseHex(s string, size int) (n uint64, ok bool) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != size {
		return 0, false
	}
	for _, c := range b {
		n = n<<8 | uint64(c)
	}
	return n, true
}
