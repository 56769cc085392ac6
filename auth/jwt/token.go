package jwt

import (
	"encoding/base64"
	"strings"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json"

	"keywatch/auth"
)

// A token is one whose form is right; nothing of it is verified.
type token struct {
	parsed          *jose.JSONWebSignature
	algorithm, name string
}

// refused are members of a header that a token must not have: they say that something else must be understood,
// that what is signed is something else, or where the key is.
var refused = []string{"crit", "b64", "enc", "zip", "cty", "jwk", "jku", "x5u", "x5c"}

// types are those that a token may be of, beside none; in lower case.
var types = []string{"jwt", "application/jwt", "at+jwt", "application/at+jwt"}

// encoding is that of the parts of a token.
var encoding = base64.RawURLEncoding.Strict()

// parse reads a token in its compact form (RFC 7515): header, claims and signature. It verifies nothing. It
// fails with an *auth.FailedError.
func parse(text string) (t token, err error) {
	if !auth.IsJWT(text) {
		return t, malformed("not a JWT of three parts and at most 4 KiB")
	}
	if t.parsed, err = jose.ParseSignedCompact(text, algorithms); err != nil || len(t.parsed.Signatures) != 1 {
		return t, malformed("header, claims or signature cannot be read, or its algorithm is not supported")
	}
	s := &t.parsed.Signatures[0]
	t.algorithm, t.name = s.Protected.Algorithm, s.Protected.KeyID
	return t, checkHeader(text)
}

// checkHeader refuses a token for its header.
func checkHeader(text string) error {
	head, _, _ := strings.Cut(text, ".")
	b, err := encoding.DecodeString(head)
	var fields map[string]json.RawMessage
	if err != nil || json.Unmarshal(b, &fields) != nil {
		return malformed("the header is not a JSON object")
	}
	// Otherwise one signature has several texts, each of which would be another credential.
	if _, err := encoding.DecodeString(text[strings.LastIndexByte(text, '.')+1:]); err != nil {
		return malformed("the signature is not in canonical base64url")
	}
	for _, name := range refused {
		if fields[name] != nil {
			return malformed("header field " + name + " is not supported")
		}
	}
	raw := fields["typ"]
	if raw == nil {
		return nil
	}
	var kind string
	if json.Unmarshal(raw, &kind) == nil {
		for _, may := range types {
			if strings.EqualFold(kind, may) {
				return nil
			}
		}
	}
	return malformed("header field typ must be JWT or at+jwt")
}
