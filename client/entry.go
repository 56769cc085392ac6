package client

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"
	"unicode/utf8"
)

// Rev is a revision. Revisions are compared within one key or one batch only.
type Rev uint64

// Position is what a watch resumes from. It is opaque and cannot be compared.
type Position string

// LeaseID names a lease. Every caller that knows it can end the lease.
type LeaseID string

// Token is a fencing token. Of two holders of a lock the later has the larger.
type Token uint64

// An Entry is one version of a key. Its Value is the receiver's own, unless a
// method says that it is shared.
type Entry struct {
	Key   string
	Value []byte
	// Rev is the revision of this version, CreateRev that of the key's creation.
	Rev, CreateRev Rev
	// Version counts the key's changes since its creation, which was 1.
	Version uint64
	// TTL is how long the key had left to live when the server answered, 0 if
	// it stays until it is deleted. Count it from when the request was sent.
	TTL time.Duration
	// Lease is the lease that the key is attached to, "" if none.
	Lease LeaseID
	// Tier is where the server keeps the value: memory, disk or object.
	Tier string
	// ETag is set by Get and in Error.Current.
	ETag string
}

// UnmarshalJSON reads an entry as the server writes it, in lists, batches and
// events. It fails if the encoding of the value is not known.
func (e *Entry) UnmarshalJSON(b []byte) error {
	var w wireEntry
	err := json.Unmarshal(b, &w)
	if err == nil {
		*e, err = w.entry()
	}
	return err
}

// wireEntry is an entry in the server's JSON.
type wireEntry struct {
	Key       string  `json:"key"`
	Value     *string `json:"value"`
	Encoding  string  `json:"encoding"`
	Rev       Rev     `json:"rev"`
	CreateRev Rev     `json:"create_rev"`
	Version   uint64  `json:"version"`
	TTL       int64   `json:"ttl_ms"`
	Lease     LeaseID `json:"lease"`
	Tier      string  `json:"tier"`
}

func (w *wireEntry) entry() (Entry, error) {
	value, err := decodeValue(w.Value, w.Encoding)
	return Entry{
		Key: w.Key, Value: value, Rev: w.Rev, CreateRev: w.CreateRev, Version: w.Version,
		TTL: time.Duration(w.TTL) * time.Millisecond, Lease: w.Lease, Tier: w.Tier,
	}, err
}

// decodeValue returns the bytes of a value, nil if there is none.
func decodeValue(text *string, encoding string) ([]byte, error) {
	switch {
	case text == nil:
		return nil, nil
	case encoding == "":
		return []byte(*text), nil
	case encoding == "base64":
		return base64.StdEncoding.DecodeString(*text)
	}
	return nil, fmt.Errorf("client: a value has the unknown encoding %q", encoding)
}

// encodeValues returns values as JSON strings carry them, and the encoding that
// they share: "" if all are UTF-8.
func encodeValues(values ...[]byte) (texts []string, encoding string) {
	for _, v := range values {
		if !utf8.Valid(v) {
			encoding = "base64"
		}
	}
	for _, v := range values {
		if encoding == "" {
			texts = append(texts, string(v))
		} else {
			texts = append(texts, base64.StdEncoding.EncodeToString(v))
		}
	}
	return texts, encoding
}

// decode reads the JSON of a good answer.
func decode(body []byte, into any) error {
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("client: cannot read the answer: %w: %w", ErrNotKeywatch, err)
	}
	return nil
}

// durationText writes a duration as the server reads it, in whole milliseconds
// rounded up: a key may live longer, but never ends early.
func durationText(d time.Duration) string {
	ms := (d + time.Millisecond - 1) / time.Millisecond
	return fmt.Sprintf("%dms", int64(ms))
}
