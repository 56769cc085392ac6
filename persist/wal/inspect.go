package wal

import (
	"encoding/binary"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"keywatch/persist/disk"
)

// An Inspection is what a log that no process has open holds.
type Inspection struct {
	Segments []SegmentInfo `json:"segments"`
	// First and Last are the indexes of the entries in it; 0 if there is none.
	First uint64 `json:"first"`
	Last  uint64 `json:"last"`
	// LastTerm is the term of the newest, 0 if there is none or it cannot be read.
	LastTerm uint64 `json:"last_term"`
	// Bytes is what the entries take.
	Bytes int64 `json:"bytes"`
}

// A SegmentInfo is one file of a log.
type SegmentInfo struct {
	File   string `json:"file"`
	Number uint32 `json:"number"`
	Store  string `json:"store,omitempty"`
	Size   int64  `json:"size"`
	// End is where the last whole group ends, Sealed whether that is the last of the segment.
	End    int64 `json:"end"`
	Sealed bool  `json:"sealed"`
	// Groups counts them; Group has each, if they were asked for.
	Groups int         `json:"groups"`
	Group  []GroupInfo `json:"group,omitempty"`
}

// A GroupInfo is one group, whose checksum matches.
type GroupInfo struct {
	Offset int64  `json:"offset"`
	Size   int64  `json:"size"`
	Seq    uint64 `json:"seq"`
	// Synced is the last group that was known to be durable then.
	Synced uint64 `json:"synced"`
	Kind   string `json:"kind"`
	Index  uint64 `json:"index"`
	Count  uint32 `json:"count"`
	Run    uint32 `json:"run"`
	CRC    string `json:"crc32c"`
}

// kindNames name the kinds of groups.
var kindNames = [...]string{
	kindEntries: "entries", kindTruncate: "truncate", kindFloor: "floor", kindMark: "mark", kindSeal: "seal", kindKept: "kept",
}

// Inspect reads the log in dir and changes nothing; groups asks for each group. What Open would
// refuse it returns as the error, a *disk.DamageError with the place for damage, beside what it
// could read. No process may have the log open.
func Inspect(dir string, groups bool) (*Inspection, error) {
	found := new(Inspection)
	numbers, _, err := listFiles(disk.OS, dir)
	if err != nil {
		return found, err
	}
	l := &Log{dir: dir, fs: disk.OS, log: slog.New(slog.DiscardHandler)}
	defer l.closeFiles()
	for _, n := range numbers {
		s, err := openSegment(disk.OS, dir, n)
		if err != nil {
			return found, err
		}
		l.mu.segs = append(l.mu.segs, s)
		info, err := s.inspect(groups)
		found.Segments = append(found.Segments, info)
		if err != nil {
			return found, err
		}
	}
	w := walk{log: l, segs: l.mu.segs, seq: 1, keep: 1}
	err = w.all()
	if n := len(l.mu.locs); n > 0 {
		found.First, found.Last = l.mu.first, l.mu.first+uint64(n)-1
		var e Entry
		if l.Read(found.Last, &e) == nil {
			found.LastTerm = e.Term
		}
	}
	found.Bytes = l.mu.bytes
	return found, err
}

// InspectSegment is Inspect for one file of a log, whose groups are all that can be checked.
func InspectSegment(path string, groups bool) (*Inspection, error) {
	number, ok := parseSegmentName(filepath.Base(path))
	if !ok {
		return nil, fmt.Errorf("%s is no name of a log segment", filepath.Base(path))
	}
	if _, err := os.Stat(path); err != nil {
		return nil, err
	}
	s, err := openSegment(disk.OS, filepath.Dir(path), number)
	if err != nil {
		return new(Inspection), err
	}
	defer s.file.Close()
	info, err := s.inspect(groups)
	return &Inspection{Segments: []SegmentInfo{info}}, err
}

// inspect reads the groups of a segment, up to where none begins.
func (s *segment) inspect(groups bool) (SegmentInfo, error) {
	info := SegmentInfo{File: s.path, Number: s.number, Size: s.size, End: segmentHead}
	if s.store != 0 {
		info.Store = s.store.String()
	}
	r := reader{file: s.file, size: s.size}
	for !info.Sealed {
		head, err := r.window(info.End, min(groupHead, s.size-info.End))
		if err != nil {
			return info, err
		}
		var sum string
		if len(head) == groupHead {
			sum = fmt.Sprintf("%08x", binary.LittleEndian.Uint32(head[4:]))
		}
		g, size, why, err := r.group(info.End, s.salt)
		if err != nil || why != nil {
			return info, err
		}
		if groups {
			info.Group = append(info.Group, GroupInfo{
				Offset: info.End, Size: size, Seq: g.seq, Synced: g.synced, Kind: kindName(g.kind),
				Index: g.index, Count: g.count, Run: g.run, CRC: sum,
			})
		}
		info.Groups++
		info.End += size
		info.Sealed = g.kind == kindSeal
	}
	return info, nil
}

func kindName(k groupKind) string {
	if int(k) < len(kindNames) && kindNames[k] != "" {
		return kindNames[k]
	}
	return fmt.Sprintf("kind %d", k)
}
