package sim

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"slices"

	"keywatch/cluster/core"
	"keywatch/kv"
)

// keys are what clients write and read.
var keys = [...]string{"a", "b", "c", "d"}

// A state is the state machine of a server, and a digest of all that was applied to it.
type state struct {
	*kv.State
	at     core.Point
	digest uint64
}

func newState() *state { return &state{State: kv.NewState(kv.StateOptions{Presize: 1})} }

// apply applies one entry, which has data unless it has no commands.
func (s *state) apply(at core.Point, data []byte) (results []kv.Result, err error) {
	if len(data) == 0 {
		s.Skip(at.Index, at.Term)
	} else if results, err = s.Apply(at.Index, at.Term, data); err != nil {
		return nil, err
	}
	h := fnv.New64a()
	var b []byte
	for _, x := range []uint64{s.digest, at.Index, at.Term} {
		b = binary.LittleEndian.AppendUint64(b, x)
	}
	for _, r := range results {
		b = append(b, byte(r.Outcome))
		b = binary.LittleEndian.AppendUint64(b, uint64(r.Rev))
		b = binary.LittleEndian.AppendUint64(b, uint64(r.At.Rev))
	}
	h.Write(b)
	h.Write(data)
	s.at, s.digest = at, h.Sum64()
	return results, nil
}

// revisions returns the revision of each key, 0 for one that does not exist.
func (s *state) revisions() (r [len(keys)]kv.Rev) {
	for i := range keys {
		r[i] = s.revision(i)
	}
	return r
}

func (s *state) revision(key int) kv.Rev {
	if e, _ := s.Get(keys[key]); e != nil {
		return e.Mod
	}
	return 0
}

// encode returns the state as bytes. States in which the same was applied have the same.
func (s *state) encode() []byte {
	view, err := s.Snapshot()
	if err != nil {
		panic(err) // there is no bound on them that this package reaches
	}
	defer view.Close()
	meta := kv.Meta{
		Index: s.at.Index, Term: s.at.Term, At: view.Position(), Time: view.Time(), Floor: view.Floor(),
		Params: s.Params(),
	}
	var records []kv.Record
	for key, e := range view.Changes("", 0) {
		records = append(records, kv.Record{Key: key, Entry: e})
	}
	slices.SortFunc(records, func(a, b kv.Record) int {
		x, y := a.Locator(), b.Locator()
		return cmp.Or(cmp.Compare(x.Rev, y.Rev), cmp.Compare(x.Ordinal, y.Ordinal))
	})
	out := binary.LittleEndian.AppendUint64(nil, s.digest)
	out = appendPart(out, meta.AppendTo(nil))
	for _, r := range records {
		at := r.Locator()
		out = binary.AppendUvarint(out, uint64(at.Rev))
		out = binary.AppendUvarint(out, uint64(at.Ordinal))
		out = appendPart(out, r.AppendTo(nil))
	}
	return out
}

func appendPart(b, part []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(part))), part...)
}

// decode is the reverse of encode. No bytes are no state yet.
func decode(b []byte) (*state, error) {
	s := newState()
	if len(b) == 0 {
		return s, nil
	}
	r := reader{b[8:]}
	s.digest = binary.LittleEndian.Uint64(b)
	meta, err := kv.ParseMeta(r.part())
	if err != nil {
		return nil, err
	}
	s.at = core.Point{Index: meta.Index, Term: meta.Term}
	l := s.Load(meta)
	for len(r.b) > 0 {
		at := kv.Locator{Rev: kv.Rev(r.number()), Ordinal: uint32(r.number())}
		record, err := kv.ParseRecord(at, r.part())
		if err != nil {
			return nil, err
		}
		if _, _, err := l.Add(record); err != nil {
			return nil, fmt.Errorf("load: %w", err)
		}
	}
	return s, l.Done()
}

// A reader takes what encode wrote apart.
type reader struct{ b []byte }

func (r *reader) number() uint64 {
	x, n := binary.Uvarint(r.b)
	r.b = r.b[n:]
	return x
}

func (r *reader) part() []byte {
	n := r.number()
	part := r.b[:n]
	r.b = r.b[n:]
	return part
}
