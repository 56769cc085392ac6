package object

import (
	"encoding/hex"
	"fmt"
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

// An ID names a segment: who made it, in which history, and its number there.
// Numbers grow and are never used twice.
type ID struct {
	Store StoreID
	Epoch kv.Epoch
	Seq   uint64
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
