package kv

import (
	"encoding/binary"
	"fmt"
)

// groupedVersion, or that of a later Form, is the version of an entry whose commands come from several servers: between its
// header and the commands are the groups, a uvarint for how many, then for each the origin as
// uint64, little-endian, and as uvarints its number and how many commands it has.
const groupedVersion = 3

// A Group is a run of commands within an entry that one process sent.
type Group struct {
	// Origin names the process, Seq the group among those of the process: it rises by one.
	Origin, Seq uint64
	// Commands is how many commands the group has.
	Commands int
	// Form is that of the commands: see EntryBuilder.Form. It is not read back.
	Form Form
}

func isGrouped(version byte) bool {
	return version == groupedVersion || version == extendedGrouped || version == sinceGrouped
}

// AppendGrouped appends a log entry for log time now: bodies are the encoded commands of
// groups, as EntryBuilder.Commands returns them.
func AppendGrouped(b []byte, now int64, groups []Group, bodies [][]byte) []byte {
	count, form := 0, plainForm
	for _, g := range groups {
		count, form = count+g.Commands, max(form, g.Form)
	}
	b = append(b, form.grouped())
	b = binary.LittleEndian.AppendUint64(b, uint64(now))
	b = binary.LittleEndian.AppendUint32(b, uint32(count))
	b = binary.AppendUvarint(b, uint64(len(groups)))
	for _, g := range groups {
		b = binary.LittleEndian.AppendUint64(b, g.Origin)
		b = binary.AppendUvarint(b, g.Seq)
		b = binary.AppendUvarint(b, uint64(g.Commands))
	}
	for _, body := range bodies {
		b = append(b, body...)
	}
	return b
}

// Groups appends the groups of a log entry to to: none if the entry has none. It fails with
// ErrBadEntry.
func Groups(data []byte, to []Group) ([]Group, error) {
	if len(data) == 0 || !isGrouped(data[0]) {
		return to, nil
	}
	d := decoder{b: data}
	_, count, err := d.entryStart()
	if err != nil {
		return to, err
	}
	return d.groups(count, to)
}

// groups reads the groups of an entry with count commands.
func (d *decoder) groups(count int, to []Group) ([]Group, error) {
	n := d.uvarint()
	for i := uint64(0); i < n && !d.bad; i++ {
		g := Group{Origin: d.fixed64(), Seq: d.uvarint(), Commands: int(min(d.uvarint(), uint64(count)+1))}
		count -= g.Commands
		to = append(to, g)
		d.bad = d.bad || count < 0
	}
	if d.bad || count != 0 {
		return to, fmt.Errorf("%w: groups do not fill it", ErrBadEntry)
	}
	return to, nil
}

// fixed64 reads a uint64.
func (d *decoder) fixed64() uint64 {
	b := d.bytes(8)
	if d.bad {
		return 0
	}
	return binary.LittleEndian.Uint64(b)
}

// CheckCommands reads n encoded commands of another server, which must be all of body, and
// validates each: what one server refuses no other may log. Commands that only a leader
// makes are refused. It returns their form, and fails with ErrBadEntry or as
// Command.Validate does.
func CheckCommands(body []byte, n int, l Limits) (form Form, err error) {
	d := decoder{b: body}
	var c Command
	var prefix string
	for range n {
		switch kind := d.byte(); {
		case d.bad:
			return plainForm, ErrBadEntry
		case kind == commandRefer:
			r := d.refer()
			if d.bad {
				return plainForm, ErrBadEntry
			}
			if err := r.Validate(); err != nil {
				return plainForm, err
			}
		case kind == commandPrivate:
			p, _ := d.private()
			if d.bad {
				return plainForm, ErrBadEntry
			}
			if err := p.validate(); err != nil {
				return plainForm, err
			}
		case isCommand(kind):
			form = max(form, formOf(kind))
			d.command(kind, &c, &prefix)
			if d.bad {
				return plainForm, ErrBadEntry
			}
			if err := c.Validate(l); err != nil {
				return plainForm, err
			}
		default:
			return plainForm, fmt.Errorf("%w: command of kind %d", ErrBadEntry, kind)
		}
	}
	if d.bad || len(d.b) > 0 {
		return plainForm, ErrBadEntry
	}
	return form, nil
}
