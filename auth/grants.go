package auth

import (
	"slices"
	"strings"
)

// Grants are what a caller may do: grants that were compiled for one user. They are immutable and
// safe for concurrent use. The zero Grants allow nothing.
type Grants struct {
	can   [targeted]cover
	plain [verbs]bool
	// within, if not nil, bounds what is allowed to what it allows too.
	within *Grants
	// source is what they were made of.
	source []Grant
}

// NewGrants compiles grants for the user with a name; with an empty name, those that name the
// user count nothing.
func NewGrants(user string, all []Grant) *Grants {
	g := &Grants{source: slices.Clone(all)}
	var keys, prefixes [targeted][]string
	for _, each := range all {
		target := each.Key + each.Prefix
		if strings.Contains(target, userField) {
			if user == "" {
				continue
			}
			target = strings.ReplaceAll(target, userField, user)
		}
		for _, v := range each.Verbs {
			switch {
			case !v.Targeted():
				g.plain[v] = true
			case each.Under:
				prefixes[v] = append(prefixes[v], target)
			default:
				keys[v] = append(keys[v], target)
			}
		}
	}
	for v := range g.can {
		g.can[v] = newCover(keys[v], prefixes[v])
	}
	if g.plain[Admin] {
		g.allowAll()
	}
	return g
}

func (g *Grants) allowAll() {
	for v := range g.can {
		g.can[v] = newCover(nil, []string{""})
	}
	for v := range g.plain {
		g.plain[v] = true
	}
}

// Within returns grants that allow what both g and bound allow.
func (g *Grants) Within(bound *Grants) *Grants {
	if bound == nil {
		return g
	}
	own := *g
	own.within = bound
	return &own
}

// Key reports whether verb v is allowed on a key, or on the name of a lock.
func (g *Grants) Key(v Verb, key string) bool {
	return g.can[v].has(key) && (g.within == nil || g.within.Key(v, key))
}

// Under reports whether verb v is allowed on every key that begins with prefix.
func (g *Grants) Under(v Verb, prefix string) bool {
	return g.can[v].hasAll(prefix) && (g.within == nil || g.within.Under(v, prefix))
}

// Can reports whether a verb without a target is allowed.
func (g *Grants) Can(v Verb) bool { return g.plain[v] && (g.within == nil || g.within.Can(v)) }

// Empty reports whether nothing is allowed.
func (g *Grants) Empty() bool {
	for v := range g.can {
		if len(g.can[v].keys)+len(g.can[v].prefixes) > 0 {
			return false
		}
	}
	return !slices.Contains(g.plain[:], true)
}

// Prefixes returns the prefixes under which verb v is allowed, as far as the user's roles say.
func (g *Grants) Prefixes(v Verb) []string { return slices.Clone(g.can[v].prefixes) }

// List returns what the grants were made of.
func (g *Grants) List() []Grant { return slices.Clone(g.source) }

// Bound returns what bounds the grants beside, nil if nothing does.
func (g *Grants) Bound() []Grant {
	if g.within == nil {
		return nil
	}
	return g.within.List()
}

// Allows reports whether all of a grant is allowed.
func (g *Grants) Allows(want Grant) bool {
	for _, v := range want.Verbs {
		switch {
		case !v.Targeted():
			if !g.Can(v) {
				return false
			}
		case want.Under:
			if !g.Under(v, want.Prefix) {
				return false
			}
		case !g.Key(v, want.Key):
			return false
		}
	}
	return true
}
