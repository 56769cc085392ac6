package auth

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"strings"

	"keywatch/kv"
)

const (
	// TicketPrefix begins the text of every ticket.
	TicketPrefix = "kwt_"
	ticketLayout = 1
	ticketMAC    = 16
	// TicketMax is the largest ticket, in bytes of its text: it must fit into a request line.
	TicketMax = 8 << 10
)

// A TicketInfo is what a ticket says: which names it may be used to watch, on behalf of which
// credential, and how long.
type TicketInfo struct {
	// Cred is the credential that the ticket was made with: it ends with that, and what may be
	// watched then is what that may watch.
	Cred CredID
	// Expires is in milliseconds of wall time.
	Expires int64
	// Reuse is set if it may be used again until it expires, else it is good for one use.
	Reuse bool
	// Epoch is the store's when it was made: it is void in another.
	Epoch          kv.Epoch
	Keys, Prefixes []string
	// Origin, if not empty, is the only origin whose pages may use it.
	Origin string
	// Nonce tells tickets apart.
	Nonce [8]byte
}

// A TicketKey signs tickets. Its number stands in them.
type TicketKey struct {
	Number uint64
	Secret []byte
	// Made is when it was, in milliseconds of wall time.
	Made int64
}

// Sign returns the text of a new ticket. Its Nonce is drawn.
func (k TicketKey) Sign(t TicketInfo) string {
	rand.Read(t.Nonce[:]) // never fails
	b := binary.AppendUvarint([]byte{ticketLayout}, k.Number)
	b = append(b, t.Cred[:]...)
	b = binary.AppendUvarint(b, uint64(t.Expires))
	b = append(b, flag(t.Reuse))
	b = binary.BigEndian.AppendUint32(b, uint32(t.Epoch))
	b = append(b, t.Nonce[:]...)
	for _, names := range [2][]string{t.Keys, t.Prefixes} {
		b = binary.AppendUvarint(b, uint64(len(names)))
		for _, name := range names {
			b = appendText(b, name)
		}
	}
	b = appendText(b, t.Origin)
	return TicketPrefix + base64.RawURLEncoding.EncodeToString(append(b, k.mac(b)...))
}

func flag(on bool) byte {
	if on {
		return 1
	}
	return 0
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func (k TicketKey) mac(b []byte) []byte {
	m := hmac.New(sha256.New, k.Secret)
	m.Write(b)
	return m.Sum(nil)[:ticketMAC]
}

// ParseTicket reads the text of a ticket that one of the keys signed, whether it has expired or
// not. It fails with ErrMalformed.
func ParseTicket(text string, key func(number uint64) (TicketKey, bool)) (t TicketInfo, err error) {
	body, ok := strings.CutPrefix(text, TicketPrefix)
	if !ok || len(text) > TicketMax {
		return t, ErrMalformed
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(body)
	if err != nil || len(b) < 1+ticketMAC || b[0] != ticketLayout {
		return t, ErrMalformed
	}
	signed, mac := b[:len(b)-ticketMAC], b[len(b)-ticketMAC:]
	d := ticketReader{b: signed[1:]}
	k, known := key(d.uvarint())
	if d.bad || !known || !hmac.Equal(k.mac(signed), mac) {
		return t, ErrMalformed
	}
	copy(t.Cred[:], d.bytes(idBytes))
	t.Expires, t.Reuse = int64(d.uvarint()), d.byte() == 1
	if epoch := d.bytes(4); !d.bad {
		t.Epoch = kv.Epoch(binary.BigEndian.Uint32(epoch))
	}
	copy(t.Nonce[:], d.bytes(uint64(len(t.Nonce))))
	t.Keys, t.Prefixes = d.texts(), d.texts()
	t.Origin = string(d.bytes(d.uvarint()))
	if d.bad || len(d.b) > 0 {
		return TicketInfo{}, ErrMalformed
	}
	return t, nil
}

// A ticketReader reads what Sign wrote. After the first malformed field bad is set.
type ticketReader struct {
	b   []byte
	bad bool
}

func (d *ticketReader) bytes(n uint64) []byte {
	if n > uint64(len(d.b)) {
		d.b, d.bad = nil, true
		return nil
	}
	v := d.b[:n]
	d.b = d.b[n:]
	return v
}

func (d *ticketReader) byte() byte {
	b := d.bytes(1)
	if d.bad {
		return 0
	}
	return b[0]
}

func (d *ticketReader) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.b, d.bad = nil, true
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *ticketReader) texts() (out []string) {
	n := d.uvarint()
	if n > uint64(len(d.b)) {
		d.b, d.bad = nil, true
		return nil
	}
	for range n {
		out = append(out, string(d.bytes(d.uvarint())))
	}
	return out
}
