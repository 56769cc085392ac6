package auth

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
)

// The layout of a sealed record: a byte for the layout, the number of the data key as a uvarint,
// 12 random bytes, and what AES-256-GCM makes of the record with the record's name beside.
const (
	sealLayout = 1
	// KeySize is the size of the sealing key and of data keys, in bytes.
	KeySize   = 32
	nonceSize = 12
	// SealsMax is how many records one data key may seal: beyond it random nonces could meet.
	SealsMax = 1 << 28
)

// ErrSealed is matched by errors about records that the sealing key does not open.
var ErrSealed = errors.New("the sealing key does not open the record")

// A Wrapper wraps data keys with the sealing key, which may be held elsewhere. Its methods are
// safe for concurrent use.
type Wrapper interface {
	// Wrap returns what Unwrap makes the data key of again, with the same name beside.
	Wrap(name string, key []byte) ([]byte, error)
	// Unwrap fails with an error that matches ErrSealed if wrapped was made by another sealing
	// key, for another name, or is damaged.
	Unwrap(name string, wrapped []byte) ([]byte, error)
}

// A Sealer seals records with data keys. It is safe for concurrent use.
type Sealer struct {
	mu struct {
		sync.RWMutex
		keys   map[uint64]cipher.AEAD
		newest uint64
		seals  uint64 // by the newest, as far as this process knows
	}
}

// NewSealer returns a sealer without data keys.
func NewSealer() *Sealer {
	s := new(Sealer)
	s.mu.keys = make(map[uint64]cipher.AEAD)
	return s
}

// NewDataKey draws a data key.
func NewDataKey() []byte {
	key := make([]byte, KeySize)
	rand.Read(key) // never fails
	return key
}

// Add adds the data key with a number, which is above 0. New records are sealed with that of the
// highest number.
func (s *Sealer) Add(number uint64, key []byte) error {
	gcm, err := newGCM(key)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.keys[number] = gcm
	if number > s.mu.newest {
		s.mu.newest, s.mu.seals = number, 0
	}
	return nil
}

// Remove forgets a data key that no record is sealed with any more.
func (s *Sealer) Remove(number uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.mu.keys, number)
	if number == s.mu.newest {
		s.mu.newest = 0
		for n := range s.mu.keys {
			s.mu.newest = max(s.mu.newest, n)
		}
	}
}

// Newest returns the number of the data key that new records are sealed with, 0 if there is none.
func (s *Sealer) Newest() uint64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.mu.newest
}

// Worn reports whether the newest data key has sealed so much that another must follow.
func (s *Sealer) Worn() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.mu.seals >= SealsMax
}

func newGCM(key []byte) (cipher.AEAD, error) {
	if len(key) != KeySize {
		return nil, fmt.Errorf("%w: a data key has %d bytes", ErrSealed, len(key))
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// Seal returns the sealed form of a record. It fails if there is no data key.
func (s *Sealer) Seal(name string, plain []byte) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	gcm := s.mu.keys[s.mu.newest]
	if gcm == nil {
		return nil, fmt.Errorf("seal %s: %w: there is no data key", name, ErrSealed)
	}
	s.mu.seals++
	b := binary.AppendUvarint([]byte{sealLayout}, s.mu.newest)
	return sealWith(gcm, b, name, plain), nil
}

// sealWith appends a nonce and what gcm makes of plain to b.
func sealWith(gcm cipher.AEAD, b []byte, name string, plain []byte) []byte {
	var nonce [nonceSize]byte
	rand.Read(nonce[:]) // never fails
	return gcm.Seal(append(b, nonce[:]...), nonce[:], plain, []byte(name))
}

func openWith(gcm cipher.AEAD, name string, b []byte) ([]byte, error) {
	if len(b) < nonceSize {
		return nil, fmt.Errorf("open %s: %w: it is cut short", name, ErrSealed)
	}
	plain, err := gcm.Open(nil, b[:nonceSize], b[nonceSize:], []byte(name))
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", name, ErrSealed)
	}
	return plain, nil
}

// Open returns the record that was sealed under a name. It fails with an error that matches
// ErrSealed.
func (s *Sealer) Open(name string, sealed []byte) ([]byte, error) {
	number, body, err := sealedWith(name, sealed)
	if err != nil {
		return nil, err
	}
	s.mu.RLock()
	gcm := s.mu.keys[number]
	s.mu.RUnlock()
	if gcm == nil {
		return nil, fmt.Errorf("open %s: %w: data key %d is missing", name, ErrSealed, number)
	}
	return openWith(gcm, name, body)
}

// sealedWith returns the number of the data key of a sealed record, and what follows it.
func sealedWith(name string, sealed []byte) (number uint64, body []byte, err error) {
	if len(sealed) < 1 || sealed[0] != sealLayout {
		return 0, nil, fmt.Errorf("open %s: %w: unknown layout", name, ErrSealed)
	}
	number, n := binary.Uvarint(sealed[1:])
	if n <= 0 {
		return 0, nil, fmt.Errorf("open %s: %w: it is cut short", name, ErrSealed)
	}
	return number, sealed[1+n:], nil
}
