package jwt

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json"
)

const (
	// rsaLeast and rsaMost bound an RSA key in bits, secretLeast a shared secret in bytes.
	rsaLeast    = 2048
	rsaMost     = 8192
	secretLeast = 32
)

// A key verifies the signatures of one algorithm.
type key struct {
	// name is the kid of the key; empty for a key that has none.
	name      string
	algorithm jose.SignatureAlgorithm
	public    any
	// id names the key, whatever the set calls it: a removed key is another one than that which follows it
	// under the same name.
	id string
}

// algorithms are all that a key may be for. There is no "none" among them.
var algorithms = []jose.SignatureAlgorithm{
	jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512,
	jose.ES256, jose.ES384, jose.ES512, jose.EdDSA, jose.HS256,
}

// unused are members of a key that say where else it is, or that it has a certificate.
var unused = []string{"x5c", "x5u", "x5t", "x5t#S256"}

// parseKey reads a JSON Web Key (RFC 7517). It returns nil for one that is to be left out, because it is not
// for signatures or of a type that is not known.
func parseKey(raw []byte, secrets bool) (*key, error) {
	var fields map[string]*json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil {
		return nil, errors.New("expected an object")
	}
	var uses []string
	if ops := fields["key_ops"]; ops != nil && (json.Unmarshal(*ops, &uses) != nil || !slices.Contains(uses, "verify")) {
		return nil, nil
	}
	for _, name := range unused {
		delete(fields, name)
	}
	rest, err := json.Marshal(fields)
	if err != nil {
		return nil, err
	}
	var k jose.JSONWebKey
	switch err := k.UnmarshalJSON(rest); {
	case errors.Is(err, jose.ErrUnsupportedKeyType):
		return nil, nil
	case err != nil:
		return nil, err
	case k.Use != "" && k.Use != "sig":
		return nil, nil
	}
	if _, shared := k.Key.([]byte); shared && !secrets {
		return nil, errors.New("a shared secret is accepted from a file only")
	}
	return newKey(k.KeyID, k.Algorithm, k.Key)
}

// newKey returns a key for the algorithm that its set names or, without that, its type. It returns nil for
// one that is to be left out.
func newKey(name, algorithm string, public any) (*key, error) {
	may, err := algorithmsOf(public)
	if err != nil || len(may) == 0 {
		return nil, err
	}
	k := &key{name: name, algorithm: may[0], public: public}
	if algorithm != "" {
		if k.algorithm = jose.SignatureAlgorithm(algorithm); !slices.Contains(may, k.algorithm) {
			return nil, nil
		}
	}
	k.id, err = idOf(k)
	return k, err
}

// algorithmsOf returns what a key may be for, that of a set that names none first; none for a key that
// verifies nothing here. So a public key is never the secret of an HMAC.
func algorithmsOf(public any) ([]jose.SignatureAlgorithm, error) {
	switch k := public.(type) {
	case *rsa.PublicKey:
		if n := k.N.BitLen(); n < rsaLeast || n > rsaMost {
			return nil, fmt.Errorf("RSA key of %d bits: expected %d to %d", n, rsaLeast, rsaMost)
		}
		return []jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512}, nil
	case *ecdsa.PublicKey:
		switch k.Params().BitSize {
		case 256:
			return []jose.SignatureAlgorithm{jose.ES256}, nil
		case 384:
			return []jose.SignatureAlgorithm{jose.ES384}, nil
		case 521:
			return []jose.SignatureAlgorithm{jose.ES512}, nil
		}
	case ed25519.PublicKey:
		return []jose.SignatureAlgorithm{jose.EdDSA}, nil
	case []byte:
		if len(k) < secretLeast {
			return nil, fmt.Errorf("shared secret of %d bytes: at least %d are required", len(k), secretLeast)
		}
		return []jose.SignatureAlgorithm{jose.HS256}, nil
	case *rsa.PrivateKey, *ecdsa.PrivateKey, ed25519.PrivateKey:
		return nil, errors.New("a private key: expected its public part, which is all that a server needs")
	}
	return nil, nil
}

// idOf returns the id of a key: what it is and what it is for. A shared secret is hashed.
func idOf(k *key) (string, error) {
	var sum []byte
	if secret, shared := k.public.([]byte); shared {
		hash := sha256.Sum256(secret)
		sum = hash[:]
	} else {
		var err error
		if sum, err = (&jose.JSONWebKey{Key: k.public}).Thumbprint(crypto.SHA256); err != nil {
			return "", err
		}
	}
	return string(k.algorithm) + ":" + base64.RawURLEncoding.EncodeToString(sum), nil
}
