package persist

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"strings"

	"keywatch/kv/progress"
)

// bbolt's pages, as its file format has them; numbers are the machine's own, which
// is little endian wherever keywatch runs.
const (
	pageHead     = 16 // id uint64, flags uint16, count uint16, overflow uint32
	pageBranch   = 0x01
	pageLeaf     = 0x02
	pageMeta     = 0x04
	elementSize  = 16 // of a branch: pos, key length, id uint64; of a leaf: flags, pos, key length, value length
	leafBucket   = 0x01
	bucketHead   = 16 // root page uint64, sequence uint64
	boltMagic    = 0xED0CDAED
	boltVersion  = 2
	metaSum      = 56 // where the checksum is in a meta, over all before it
	metaSize     = 64
	maxPageDepth = 64
	pageWindow   = 256 << 10
)

// A pageCheck walks the tree of pages of a checkpoint file before bbolt sees it.
// bbolt trusts the file: a wrong page number makes it panic, recurse without
// end or return other records. What the pages hold is checked later, by checksums.
type pageCheck struct {
	file   *os.File
	path   string
	size   int64 // of a page
	count  uint64
	root   uint64
	seen   []uint64 // a bit per page
	window []byte
	start  int64 // where window is in the file
	// task is told of the pages that were read; quit, if not nil, ends the work once it is
	// closed.
	task *progress.Task
	quit <-chan struct{}
}

// checkPages returns a *disk.DamageError unless every page that the newest meta page
// leads to is what and where it should be. task is told of the pages that were read. Once
// quit is closed it fails with ErrClosed; nil never is.
func checkPages(path string, task *progress.Task, quit <-chan struct{}) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	c := &pageCheck{file: f, path: path, task: task, quit: quit}
	if err := c.readMetas(); err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Size() < int64(c.count)*c.size {
		return damaged(path, info.Size(), fmt.Sprintf("it ends before its last page, %d", c.count-1))
	}
	c.task.Expect(int64(c.count))
	c.seen = make([]uint64, c.count/64+1)
	c.seen[0] = 3 // the meta pages
	return c.walk(c.root, nil, nil, 0)
}

// readMetas finds the meta page that bbolt will use: the valid one with the highest
// transaction.
func (c *pageCheck) readMetas() error {
	head := make([]byte, 4096)
	n, err := c.file.ReadAt(head, 0)
	if n < pageHead+metaSize {
		if err != io.EOF {
			return fmt.Errorf("read %s: %w", c.path, err)
		}
		return damaged(c.path, int64(n), "it ends within its first page")
	}
	best := uint64(0)
	valid := c.takeMeta(head, &best)
	own := isMeta(head)
	// The second meta page is one page on; if the first is damaged its size of a page
	// is not known.
	for size := int64(1024); size <= 64<<10; size *= 2 {
		if valid && size != c.size {
			continue
		}
		page := make([]byte, pageHead+metaSize)
		if _, err := c.file.ReadAt(page, size); err == nil {
			own = own || isMeta(page)
			if c.takeMeta(page, &best) {
				valid = true
				break
			}
		}
	}
	switch {
	case valid:
		return nil
	case strings.HasPrefix(string(head), fullMagic):
		return notCheckpoint(c.path, "it is a full backup, which keywatch restore takes")
	case !own:
		return notCheckpoint(c.path, "it is another kind of file, or its beginning is damaged")
	}
	return damaged(c.path, 0, "neither meta page is valid")
}

// fullMagic is what full backups of all formats begin with.
const fullMagic = "\x89keywatch whole"

// isMeta reports whether a page says that it is a meta page of bbolt.
func isMeta(page []byte) bool {
	return binary.LittleEndian.Uint32(page[pageHead:]) == boltMagic
}

// takeMeta takes over what a meta page says if it is valid and newer than best.
func (c *pageCheck) takeMeta(page []byte, best *uint64) bool {
	m := page[pageHead:]
	h := fnv.New64a()
	h.Write(m[:metaSum])
	if binary.LittleEndian.Uint32(m) != boltMagic || binary.LittleEndian.Uint32(m[4:]) != boltVersion ||
		binary.LittleEndian.Uint64(m[metaSum:]) != h.Sum64() {
		return false
	}
	size, txid := int64(binary.LittleEndian.Uint32(m[8:])), binary.LittleEndian.Uint64(m[48:])
	if size < 1024 || size > 64<<10 || size&(size-1) != 0 {
		return false
	}
	if *best == 0 || txid > *best {
		*best, c.size = max(txid, 1), size
		c.root, c.count = binary.LittleEndian.Uint64(m[16:]), binary.LittleEndian.Uint64(m[40:])
	}
	return true
}

// walk checks a page and all below it; their keys lie within [low, high), nil is no
// bound.
func (c *pageCheck) walk(id uint64, low, high []byte, depth int) error {
	page, err := c.read(id, depth)
	if err != nil {
		return err
	}
	flags := binary.LittleEndian.Uint16(page[8:])
	n := int(binary.LittleEndian.Uint16(page[10:]))
	switch {
	case flags == pageLeaf:
		return c.walkLeaf(id, page, n, low, high, depth)
	case flags == pageBranch && n > 0:
		return c.walkBranch(id, page, n, low, high, depth)
	}
	return c.bad(id, fmt.Sprintf("page has flags %#x and %d elements", flags, n))
}

// read returns a page with its overflow and marks it as seen. It is valid until
// the next read.
func (c *pageCheck) read(id uint64, depth int) ([]byte, error) {
	if id < 2 || id >= c.count || depth > maxPageDepth {
		return nil, c.bad(0, fmt.Sprintf("page %d is named at depth %d of %d pages", id, depth, c.count))
	}
	page, err := c.bytes(id, 1)
	if err != nil {
		return nil, err
	}
	overflow := uint64(binary.LittleEndian.Uint32(page[12:]))
	if got := binary.LittleEndian.Uint64(page); got != id || id+overflow >= c.count {
		return nil, c.bad(id, fmt.Sprintf("page says that it is page %d with %d more", got, overflow))
	}
	for p := id; p <= id+overflow; p++ {
		if c.seen[p/64]&(1<<(p%64)) != 0 {
			return nil, c.bad(id, fmt.Sprintf("page %d is used twice", p))
		}
		c.seen[p/64] |= 1 << (p % 64)
	}
	if overflow == 0 {
		return page, nil
	}
	return c.bytes(id, 1+int64(overflow))
}

// bytes returns n pages from id on; it reads ahead.
func (c *pageCheck) bytes(id uint64, n int64) ([]byte, error) {
	off, size := int64(id)*c.size, n*c.size
	if off < c.start || off+size > c.start+int64(len(c.window)) {
		select {
		case <-c.quit:
			return nil, ErrClosed
		default:
		}
		want := min(max(size, pageWindow), int64(c.count)*c.size-off)
		c.task.Add(want / c.size)
		if int64(cap(c.window)) < want {
			c.window = make([]byte, want)
		}
		c.start, c.window = off, c.window[:want]
		if _, err := c.file.ReadAt(c.window, off); err != nil {
			return nil, fmt.Errorf("read checkpoint: %w", err)
		}
	}
	return c.window[off-c.start:][:size], nil
}

// errElement is why an element cannot be read.
var errElement = errors.New("an element is outside its page")

// element returns the two fields of the element at i: for a leaf, key and value; for
// a branch, key and nothing.
func element(page []byte, i int, leaf bool) (key, value []byte, flags uint32, err error) {
	at := pageHead + i*elementSize
	if at+elementSize > len(page) {
		return nil, nil, 0, errElement
	}
	e := page[at : at+elementSize]
	pos, klen, vlen := uint64(binary.LittleEndian.Uint32(e)), uint64(binary.LittleEndian.Uint32(e[4:])), uint64(0)
	if leaf {
		flags = binary.LittleEndian.Uint32(e)
		pos, klen = klen, uint64(binary.LittleEndian.Uint32(e[8:]))
		vlen = uint64(binary.LittleEndian.Uint32(e[12:]))
	}
	from := uint64(at) + pos
	if from+klen+vlen > uint64(len(page)) {
		return nil, nil, 0, errElement
	}
	return page[from:][:klen], page[from+klen:][:vlen], flags, nil
}

// walkLeaf checks the keys of a leaf page and walks the buckets in it.
func (c *pageCheck) walkLeaf(id uint64, page []byte, n int, low, high []byte, depth int) error {
	var roots []uint64
	last := low
	for i := range n {
		key, value, flags, err := element(page, i, true)
		if err != nil {
			return c.bad(id, err.Error())
		}
		if !inOrder(last, key, high, i > 0) || flags&^leafBucket != 0 {
			return c.bad(id, fmt.Sprintf("element %d is out of order or of kind %#x", i, flags))
		}
		last = key
		if flags&leafBucket == 0 {
			continue
		}
		if len(value) < bucketHead {
			return c.bad(id, "a bucket has no head")
		}
		if root := binary.LittleEndian.Uint64(value); root != 0 {
			roots = append(roots, root)
		} else if err := checkInline(value[bucketHead:]); err != nil {
			return c.bad(id, "a bucket within a page: "+err.Error())
		}
	}
	for _, root := range roots {
		if err := c.walk(root, nil, nil, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// checkInline checks the page of a bucket that is small enough to be a value.
func checkInline(page []byte) error {
	if len(page) < pageHead || binary.LittleEndian.Uint16(page[8:]) != pageLeaf {
		return errElement
	}
	var last []byte
	for i := range int(binary.LittleEndian.Uint16(page[10:])) {
		key, _, flags, err := element(page, i, true)
		if err != nil || flags != 0 || !inOrder(last, key, nil, i > 0) {
			return errElement
		}
		last = key
	}
	return nil
}

// walkBranch checks the keys of a branch page and walks the pages below.
func (c *pageCheck) walkBranch(id uint64, page []byte, n int, low, high []byte, depth int) error {
	keys, children := make([][]byte, n), make([]uint64, n)
	last := low
	for i := range n {
		key, _, _, err := element(page, i, false)
		if err != nil {
			return c.bad(id, err.Error())
		}
		if !inOrder(last, key, high, i > 0) {
			return c.bad(id, fmt.Sprintf("element %d is out of order", i))
		}
		keys[i] = bytes.Clone(key)
		children[i] = binary.LittleEndian.Uint64(page[pageHead+i*elementSize+8:])
		last = keys[i]
	}
	high = bytes.Clone(high)
	for i, child := range children {
		end := high
		if i+1 < n {
			end = keys[i+1]
		}
		if err := c.walk(child, keys[i], end, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// inOrder tells whether key follows last, strictly if after is set, and is below high.
func inOrder(last, key, high []byte, after bool) bool {
	if d := bytes.Compare(last, key); d > 0 || d == 0 && after {
		return false
	}
	return high == nil || bytes.Compare(key, high) < 0
}

// bad returns the error for a damaged page.
func (c *pageCheck) bad(id uint64, reason string) error {
	return damaged(c.path, int64(id)*c.size, fmt.Sprintf("page %d: %s", id, reason))
}
