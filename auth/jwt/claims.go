package jwt

import (
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4/json"

	"keywatch/auth"
)

const (
	// leeway is how far the clock of the issuer may be ahead. None is given for the end of a token.
	leeway = time.Minute
	// secondsMax is the last second of the year 9999 since 1970.
	secondsMax = 253402300799
)

// claims are what is read of a token.
type claims struct {
	Issuer    string   `json:"iss"`
	Audience  texts    `json:"aud"`
	Expires   *float64 `json:"exp"`
	NotBefore *float64 `json:"nbf"`
	IssuedAt  *float64 `json:"iat"`
}

// texts are one text, or several in an array.
type texts []string

// UnmarshalJSON implements json.Unmarshaler.
func (t *texts) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*t = texts{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(t))
}

// read returns what the claims of a token say, verified or not, as of now in milliseconds, and the claim with its
// roles, of which there may be hundreds: rolesOf reads them once the signature is verified. It fails with an
// *auth.FailedError.
func (o *Options) read(payload []byte, now int64) (id auth.Identity, roles json.RawMessage, err error) {
	var c claims
	var all map[string]json.RawMessage
	if json.Unmarshal(payload, &c) != nil || json.Unmarshal(payload, &all) != nil {
		return id, nil, malformed("claims that are no object, or iss, aud, exp, nbf or iat of another type")
	}
	switch {
	case c.Issuer != o.Issuer:
		return id, nil, unknown("claim iss is not that of --jwt-issuer")
	case !slices.Contains(c.Audience, o.Audience):
		return id, nil, unknown("claim aud does not have that of --jwt-audience")
	case c.Expires == nil:
		return id, nil, malformed("no claim exp")
	}
	if id.Expires, err = c.valid(now); err != nil {
		return id, nil, err
	}
	id.Issuer = c.Issuer
	var name string
	if raw := all[o.UserClaim]; raw == nil || json.Unmarshal(raw, &name) != nil {
		return id, nil, malformed("no text in the claim of --jwt-user-claim")
	}
	if id.Name, err = auth.FoldName(name); err != nil {
		return id, nil, malformed("the claim of --jwt-user-claim is not a name of 1 to 64 of a-z, 0-9, dot, dash, underscore and @")
	}
	return id, all[o.RolesClaim], nil
}

// valid returns when the token expires, in milliseconds, if it is valid now.
func (c *claims) valid(now int64) (expires int64, err error) {
	expires, ok := millis(c.Expires)
	if !ok {
		return 0, malformed("claim exp is out of range")
	}
	for _, begins := range []*float64{c.NotBefore, c.IssuedAt} {
		if begins == nil {
			continue
		}
		at, ok := millis(begins)
		switch {
		case !ok:
			return 0, malformed("claim nbf or iat is out of range")
		case at > now+leeway.Milliseconds():
			return 0, unknown("not valid yet: claim nbf or iat is in the future")
		}
	}
	if expires <= now {
		return 0, &auth.FailedError{Reason: auth.Expired}
	}
	return expires, nil
}

// millis returns seconds since 1970 in milliseconds.
func millis(seconds *float64) (int64, bool) {
	if !(*seconds >= 0 && *seconds <= secondsMax) {
		return 0, false
	}
	return int64(*seconds * 1000), true
}

// rolesOf reads the claim with roles: an array of names, or names with spaces between them. What is no name of
// a role counts nothing.
func rolesOf(raw json.RawMessage) (roles []string, err error) {
	if raw == nil {
		return nil, nil
	}
	var list texts
	if json.Unmarshal(raw, &list) != nil {
		return nil, malformed("the claim of --jwt-roles-claim is neither a text nor an array of texts")
	}
	seen := make(map[string]bool)
	for _, text := range list {
		for name := range strings.FieldsSeq(text) {
			if name, err := auth.FoldName(name); err == nil && !seen[name] {
				seen[name] = true
				roles = append(roles, name)
			}
		}
	}
	return roles, nil
}

func malformed(detail string) error { return &auth.FailedError{Reason: auth.Malformed, Detail: detail} }
func unknown(detail string) error   { return &auth.FailedError{Reason: auth.Unknown, Detail: detail} }
