package auth

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"keywatch/kv"
)

// Bounds on grants.
const (
	// GrantsMax bounds the grants of one role or one key.
	GrantsMax = 256
	// RolesPerUser bounds the roles of one user, and those of one JWT that exist.
	RolesPerUser = 32
)

// userField stands in a target for the name of the user.
const userField = "{user}"

// A Grant allows verbs on one key, or on all keys that begin with a prefix. Its text is
// `verbs:target`: `target` is that key, `target/` all below it, `target*` every key that begins
// with it, and `*` everything. Verbs without a target stand alone: `lease,metrics`. `{user}` in
// a target is the name of the user.
//
// In JSON it is its text, or an object with verbs and key or prefix where the text cannot say it,
// as for a key that ends with an asterisk.
type Grant struct {
	Verbs []Verb
	// Key is the key, Prefix what all keys begin with that the grant is for, if Under is set.
	// Both are empty for verbs without a target.
	Key, Prefix string
	Under       bool
}

// ParseGrant reads the text of a grant. It fails with an error that matches ErrBadGrant.
func ParseGrant(text string) (Grant, error) {
	names, target, has := strings.Cut(text, ":")
	g := Grant{}
	if has {
		switch prefix, raw := strings.CutSuffix(target, "*"); {
		case target == "":
			return g, fmt.Errorf("%w %.80q: the target is empty", ErrBadGrant, text)
		case raw:
			g.Under, g.Prefix = true, prefix
		case strings.HasSuffix(target, "/"):
			g.Under, g.Prefix = true, target
		default:
			g.Key = target
		}
	}
	for name := range strings.SplitSeq(names, ",") {
		v, err := ParseVerb(name)
		if err != nil {
			return g, err
		}
		g.Verbs = append(g.Verbs, v)
	}
	return g, g.validate()
}

// Valid returns nil if g can be granted, else an error that matches ErrBadGrant.
func (g Grant) validate() error {
	target := g.Under || g.Key != ""
	for i, v := range g.Verbs {
		if v.Targeted() != target {
			return fmt.Errorf("%w: verb %s %s", ErrBadGrant, v, targetRule(v))
		}
		if slices.Contains(g.Verbs[:i], v) {
			return fmt.Errorf("%w: verb %s is named twice", ErrBadGrant, v)
		}
	}
	if len(g.Verbs) == 0 || g.Under && g.Key != "" || !g.Under && g.Prefix != "" {
		return fmt.Errorf("%w: it needs verbs, and either a key or a prefix", ErrBadGrant)
	}
	if !target {
		return nil
	}
	// A name of the greatest length, so that what is granted can be a key for every user.
	plain := strings.ReplaceAll(g.Key+g.Prefix, userField, strings.Repeat("u", MaxName))
	if strings.ContainsAny(plain, "{}") {
		return fmt.Errorf("%w %.80q: in braces only {user} is supported", ErrBadGrant, g.Key+g.Prefix)
	}
	err := kv.CheckKey(plain)
	if g.Under {
		err = kv.CheckPrefix(plain)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrBadGrant, err)
	}
	return nil
}

func targetRule(v Verb) string {
	if v.Targeted() {
		return "needs a target, such as " + v.String() + ":sensors/"
	}
	return "has no target"
}

// String returns the text of the grant, and JSON where no text can say it.
func (g Grant) String() string {
	text, plain := g.text()
	if !plain {
		b, _ := json.Marshal(g)
		return string(b)
	}
	return text
}

// text returns the text of the grant, and whether that says it.
func (g Grant) text() (text string, plain bool) {
	names := make([]string, len(g.Verbs))
	for i, v := range g.Verbs {
		names[i] = v.String()
	}
	text = strings.Join(names, ",")
	switch {
	case !g.Under && g.Key == "":
		return text, true
	case !g.Under:
		return text + ":" + g.Key, !strings.HasSuffix(g.Key, "*")
	case strings.HasSuffix(g.Prefix, "/"):
		return text + ":" + g.Prefix, true
	}
	return text + ":" + g.Prefix + "*", true
}

type grantObject struct {
	Verbs  []string `json:"verbs"`
	Key    *string  `json:"key,omitempty"`
	Prefix *string  `json:"prefix,omitempty"`
}

// MarshalJSON writes a grant.
func (g Grant) MarshalJSON() ([]byte, error) {
	if text, plain := g.text(); plain {
		return json.Marshal(text)
	}
	o := grantObject{Key: &g.Key}
	for _, v := range g.Verbs {
		o.Verbs = append(o.Verbs, v.String())
	}
	return json.Marshal(o)
}

// UnmarshalJSON reads a grant: a text or an object. It fails with an error that matches
// ErrBadGrant.
func (g *Grant) UnmarshalJSON(b []byte) (err error) {
	if len(b) > 0 && b[0] == '"' {
		var text string
		if err := json.Unmarshal(b, &text); err != nil {
			return err
		}
		*g, err = ParseGrant(text)
		return err
	}
	var o grantObject
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&o); err != nil {
		return fmt.Errorf("%w: %w", ErrBadGrant, err)
	}
	if o.Key != nil && o.Prefix != nil {
		return fmt.Errorf("%w: it has both a key and a prefix", ErrBadGrant)
	}
	*g = Grant{Under: o.Prefix != nil}
	if o.Key != nil {
		g.Key = *o.Key
	}
	if o.Prefix != nil {
		g.Prefix = *o.Prefix
	}
	for _, name := range o.Verbs {
		v, err := ParseVerb(name)
		if err != nil {
			return err
		}
		g.Verbs = append(g.Verbs, v)
	}
	return g.validate()
}
