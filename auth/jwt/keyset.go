package jwt

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json"
)

const (
	// setMax bounds a set of keys in bytes, keysMax the keys in it.
	setMax  = 256 << 10
	keysMax = 100
	// triedMax bounds the keys that one token is tried with.
	triedMax = 4
)

// A keyset is what was read at once. It is immutable. That of a source which says that there are no keys is
// empty and not nil.
type keyset []key

// parseSet reads a JSON Web Key Set, one JSON Web Key, or public keys in PEM. Only where secrets is set it may
// have shared secrets. Keys that are not for signatures, or of a type that is not known, are left out, as
// RFC 7517 says.
func parseSet(b []byte, secrets bool) (set keyset, err error) {
	if len(b) > setMax {
		return nil, fmt.Errorf("more than %d bytes", setMax)
	}
	if b = bytes.TrimSpace(b); bytes.HasPrefix(b, []byte("-----BEGIN ")) {
		set, err = parsePEM(b)
	} else {
		set, err = parseJSON(b, secrets)
	}
	if err != nil {
		return nil, err
	}
	return set, set.check()
}

func parseJSON(b []byte, secrets bool) (keyset, error) {
	var doc struct {
		Keys []json.RawMessage `json:"keys"`
		Type string            `json:"kty"`
	}
	if err := json.Unmarshal(b, &doc); err != nil {
		return nil, errors.New("expected a JSON Web Key Set, or public keys in PEM")
	}
	if doc.Keys == nil && doc.Type != "" {
		doc.Keys = []json.RawMessage{b}
	}
	if len(doc.Keys) > keysMax {
		return nil, fmt.Errorf("%d keys: expected at most %d", len(doc.Keys), keysMax)
	}
	var set keyset
	if doc.Keys != nil && len(doc.Keys) == 0 {
		set = keyset{} // no key is valid any more
	}
	for i, raw := range doc.Keys {
		k, err := parseKey(raw, secrets)
		if err != nil {
			return nil, fmt.Errorf("key %d: %w", i+1, err)
		}
		if k != nil {
			set = append(set, *k)
		}
	}
	return set, nil
}

func parsePEM(b []byte) (keyset, error) {
	var set keyset
	for len(bytes.TrimSpace(b)) > 0 {
		block, rest := pem.Decode(b)
		switch {
		case block == nil:
			return nil, errors.New("malformed PEM")
		case block.Type != "PUBLIC KEY":
			return nil, fmt.Errorf("PEM block %.40q: expected PUBLIC KEY", block.Type)
		case len(set) == keysMax:
			return nil, fmt.Errorf("more than %d keys", keysMax)
		}
		public, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("key %d: %w", len(set)+1, err)
		}
		k, err := newKey("", "", public)
		if err == nil && k == nil {
			err = errors.New("no algorithm is supported for its type")
		}
		if err != nil {
			return nil, fmt.Errorf("key %d: %w", len(set)+1, err)
		}
		set, b = append(set, *k), rest
	}
	return set, nil
}

// check returns why a set cannot be used.
func (s keyset) check() error {
	if s == nil {
		return errors.New("there is no key in it that verifies signatures")
	}
	type kind struct {
		algorithm jose.SignatureAlgorithm
		name      string
	}
	alike := make(map[kind]int)
	for _, k := range s {
		if alike[kind{k.algorithm, k.name}]++; alike[kind{k.algorithm, k.name}] <= triedMax {
			continue
		}
		if k.name == "" {
			return fmt.Errorf("more than %d keys for %s without kid", triedMax, k.algorithm)
		}
		return fmt.Errorf("more than %d keys for %s with the kid %.40q", triedMax, k.algorithm, k.name)
	}
	return nil
}

// candidates returns the keys that may have signed a token with a header: those for its algorithm that have
// its kid and then, where one of both has none, the others, triedMax at most.
func (s keyset) candidates(algorithm, name string) (list []*key) {
	for _, same := range []bool{true, false} {
		for i := range s {
			k := &s[i]
			may := string(k.algorithm) == algorithm && (k.name == "" || name == "" || k.name == name)
			if may && (k.name == name) == same && len(list) < triedMax {
				list = append(list, k)
			}
		}
	}
	return list
}

// has reports whether a key of the set has a name.
func (s keyset) has(name string) bool {
	return slices.ContainsFunc(s, func(k key) bool { return k.name == name })
}

// ids returns the ids of all keys.
func (s keyset) ids() []string {
	list := make([]string, len(s))
	for i := range s {
		list[i] = s[i].id
	}
	return list
}
