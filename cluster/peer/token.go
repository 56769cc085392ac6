package peer

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
)

// tokenPrefix tells the text of a token from other secrets.
const tokenPrefix = "kwpeer-"

// tokenInfo is what HKDF makes of a token's bits: the seed of a certificate authority. Another
// text would make all nodes strangers.
const tokenInfo = "keywatch peer certificate authority 1"

// A Token is a secret of 256 bits that all servers of a cluster share: a server that has it is a
// peer. It does not show itself when it is formatted.
type Token struct {
	secret [32]byte
}

// NewToken draws a token.
func NewToken() (t Token) {
	_, _ = rand.Read(t.secret[:]) // it never fails
	return t
}

// Text returns the secret as ParseTokens reads it: one word of letters, digits, - and _.
func (t Token) Text() string {
	return tokenPrefix + base64.RawURLEncoding.EncodeToString(t.secret[:])
}

// Format does not tell the secret, whatever the verb.
func (Token) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, "(peer token)") }

// ParseTokens reads one token or two, with white space around them; lines that begin with # are
// ignored. The first signs, both are accepted: to change the token of a cluster without a stop,
// give all servers the new one as second, then as first, then alone. An error does not tell a
// secret.
func ParseTokens(text string) ([]Token, error) {
	var tokens []Token
	for line := range strings.Lines(text) {
		if strings.HasPrefix(strings.TrimSpace(line), "#") {
			continue
		}
		for word := range strings.FieldsSeq(line) {
			t, err := parseToken(word)
			if err != nil {
				return nil, fmt.Errorf("peer token %d: %w", len(tokens)+1, err)
			}
			tokens = append(tokens, t)
		}
	}
	if len(tokens) == 0 || len(tokens) > 2 {
		return nil, fmt.Errorf("expected one peer token or two, found %d", len(tokens))
	}
	return tokens, nil
}

func parseToken(word string) (t Token, err error) {
	text, found := strings.CutPrefix(word, tokenPrefix)
	if !found {
		return Token{}, fmt.Errorf("it does not begin with %q", tokenPrefix)
	}
	secret, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(secret) != len(t.secret) {
		return Token{}, errors.New("it is damaged or incomplete")
	}
	copy(t.secret[:], secret)
	return t, nil
}

// authority returns the key that signs certificates, the same for all who have the token.
func (t Token) authority() (ed25519.PrivateKey, error) {
	seed, err := hkdf.Key(sha256.New, t.secret[:], nil, tokenInfo, ed25519.SeedSize)
	if err != nil {
		return nil, err
	}
	return ed25519.NewKeyFromSeed(seed), nil
}
