package persist

import (
	"encoding/binary"
	"errors"
	"hash/crc32"

	"keywatch/persist/disk"

	bolt "go.etcd.io/bbolt"
)

// linkVersion is the first byte of an encoded link.
const linkVersion = 1

// keyLink is the key of the link, beside the header's. Earlier releases leave it alone.
var keyLink = []byte("link")

// errLink is why a link cannot be decoded.
var errLink = errors.New("the link to the store is malformed")

// A link says what a checkpoint belongs to. It counts only for the header that it was
// written with: an earlier release replaces the header and leaves the link.
type link struct {
	store disk.StoreID // 0 if the checkpoint names no store
	// groups is how many groups of the log were durable: the log that belongs to the
	// checkpoint has at least as many.
	groups uint64
	// objects is the URL of the object store that values are in; empty if it is not known
	// to be another place than the data folder.
	objects string
}

// encode returns the link of a header, with a checksum.
func (l link) encode(h *header) []byte {
	b := binary.BigEndian.AppendUint64([]byte{linkVersion}, uint64(l.store))
	for _, n := range []uint64{l.groups, h.seq, uint64(h.meta.At.Epoch)} {
		b = binary.AppendUvarint(b, n)
	}
	if l.objects != "" {
		b = appendField(b, []byte(l.objects))
	}
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// decodeLink reads what encode wrote; the zero link if it was not written with h.
func decodeLink(b []byte, h *header) (l link, err error) {
	end := len(b) - 4
	if end < 9 || crc32.Checksum(b[:end], castagnoli) != binary.BigEndian.Uint32(b[end:]) {
		return l, errLink
	}
	l.store = disk.StoreID(binary.BigEndian.Uint64(b[1:]))
	d := decoder{b: b[9:end]}
	l.groups = d.number()
	seq, epoch := d.number(), d.number()
	if len(d.b) > 0 {
		l.objects = string(d.field())
	}
	if d.bad {
		return link{}, errLink
	}
	if seq != h.seq || epoch != uint64(h.meta.At.Epoch) {
		return link{}, nil
	}
	return l, nil
}

// putLink writes the header's link, unless it names no store.
func putLink(tx *bolt.Tx, h *header) error {
	if h.link.store == 0 {
		return nil
	}
	return tx.Bucket(bucketMeta).Put(keyLink, h.link.encode(h))
}
