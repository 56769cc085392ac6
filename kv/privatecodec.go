package kv

import "encoding/binary"

// The flags of a private command.
const (
	privateNarrow = 1 << iota
	privateAuth

	privateFlags = privateNarrow | privateAuth
)

// appendPrivate appends a private command: its kind, its flags, the auth revision if the flags
// say so, and as many checks, puts and deletions as the number before each says.
func appendPrivate(b []byte, c *PrivateCommand, auth Rev) []byte {
	flags := byte(0)
	if c.Narrow {
		flags |= privateNarrow
	}
	if auth != 0 {
		flags |= privateAuth
	}
	b = append(b, commandPrivate, flags)
	if auth != 0 {
		b = binary.AppendUvarint(b, uint64(auth))
	}
	b = binary.AppendUvarint(b, uint64(len(c.Checks)))
	for i := range c.Checks {
		b = appendText(b, c.Checks[i].Name)
		b = binary.AppendUvarint(b, uint64(c.Checks[i].Rev))
	}
	b = binary.AppendUvarint(b, uint64(len(c.Puts)))
	for i := range c.Puts {
		b = appendText(b, c.Puts[i].Name)
		b = appendText(b, c.Puts[i].Value)
	}
	b = binary.AppendUvarint(b, uint64(len(c.Deletes)))
	for _, name := range c.Deletes {
		b = appendText(b, name)
	}
	return b
}

// private reads what appendPrivate wrote after the kind. It shares memory with the input.
func (d *decoder) private() (c *PrivateCommand, auth Rev) {
	c = new(PrivateCommand)
	flags := d.byte()
	if flags&^privateFlags != 0 {
		d.fail()
		return c, 0
	}
	c.Narrow = flags&privateNarrow != 0
	if flags&privateAuth != 0 {
		auth = Rev(d.uvarint())
	}
	for range d.count() {
		c.Checks = append(c.Checks, PrivateCheck{Name: d.text(), Rev: Rev(d.uvarint())})
	}
	for range d.count() {
		c.Puts = append(c.Puts, PrivateRecord{Name: d.text(), Value: d.blob()})
	}
	for range d.count() {
		c.Deletes = append(c.Deletes, d.text())
	}
	return c, auth
}
