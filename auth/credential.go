package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"hash/crc32"
	"math/big"
	"strings"
)

// Kind says what a credential is.
type Kind uint8

// The kinds of credentials.
const (
	// Anonymous is no credential at all.
	Anonymous Kind = iota
	// Key is an API key: it lives until it expires or is revoked.
	Key
	// Session is what a login gives.
	Session
	// Ticketed is a ticket for a watch.
	Ticketed
	// Certificate is a client certificate.
	Certificate
	// Password is a user's password, for one connection.
	Password
	// JWT is a JSON Web Token that another issuer has signed.
	JWT
)

var kindNames = [...]string{"anonymous", "key", "session", "ticket", "certificate", "password", "jwt"}

// kept reports whether a credential of this kind is a private record.
func (k Kind) kept() bool { return k == Key || k == Session }

// String returns the kind's name.
func (k Kind) String() string { return kindNames[k] }

const (
	keyPrefix     = "kwk_"
	sessionPrefix = "kws_"
	// secretBytes is how much of a secret is random, secretDigits its digits in base 62.
	secretBytes  = 32
	secretDigits = 43
	sumDigits    = 6
	// SecretSize is the size of a secret's text in bytes.
	SecretSize = len(keyPrefix) + secretDigits + sumDigits
	// idBytes is how much of a secret's hash is its id.
	idBytes = 10
)

// ErrMalformed is returned when a text is not a secret, or was damaged on its way.
var ErrMalformed = errors.New("malformed credential")

// A Hash is the SHA-256 of a secret's text: what is kept of it. A secret has 256 random bits, so
// that nothing slower is needed.
type Hash [sha256.Size]byte

// A CredID names a credential. It is the beginning of its hash, so that a secret that was found
// can be looked up, and tells nothing of it.
type CredID [idBytes]byte

var idEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// String returns the 16 characters of an id.
func (id CredID) String() string { return idEncoding.EncodeToString(id[:]) }

// ParseCredID reads what String writes; ok is false if text is no id.
func ParseCredID(text string) (id CredID, ok bool) {
	if len(text) != idEncoding.EncodedLen(idBytes) {
		return id, false
	}
	n, err := idEncoding.Decode(id[:], []byte(text))
	return id, err == nil && n == idBytes
}

// ID returns the id of the credential with a hash.
func (h Hash) ID() CredID { return CredID(h[:idBytes]) }

// HashOf returns the hash of a secret's text.
func HashOf[T string | []byte](secret T) Hash { return sha256.Sum256([]byte(secret)) }

const digits62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// NewSecret draws the text of a secret of a kind, Key or Session. The text is all there is of it:
// only its hash is kept.
func NewSecret(k Kind) string {
	var b [secretBytes]byte
	rand.Read(b[:]) // never fails
	text := keyPrefix
	if k == Session {
		text = sessionPrefix
	}
	text += base62(new(big.Int).SetBytes(b[:]), secretDigits)
	return text + sumOf(text)
}

func sumOf(text string) string {
	return base62(new(big.Int).SetUint64(uint64(crc32.ChecksumIEEE([]byte(text)))), sumDigits)
}

func base62(n *big.Int, digits int) string {
	b := make([]byte, digits)
	rest, base := new(big.Int), big.NewInt(int64(len(digits62)))
	for i := digits - 1; i >= 0; i-- {
		n.DivMod(n, base, rest)
		b[i] = digits62[rest.Int64()]
	}
	return string(b)
}

// CheckSecret returns the kind of a secret by its text alone. It fails with ErrMalformed if the
// text is none, or lost a character on its way.
func CheckSecret(text string) (Kind, error) {
	kind := Key
	if strings.HasPrefix(text, sessionPrefix) {
		kind = Session
	} else if !strings.HasPrefix(text, keyPrefix) {
		return 0, ErrMalformed
	}
	if len(text) != SecretSize || strings.Trim(text[len(keyPrefix):], digits62) != "" {
		return 0, ErrMalformed
	}
	if body := text[:SecretSize-sumDigits]; sumOf(body) != text[len(body):] {
		return 0, ErrMalformed
	}
	return kind, nil
}
