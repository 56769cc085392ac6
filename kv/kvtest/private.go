package kvtest

import (
	"maps"
	"slices"

	"pgregory.net/rapid"

	"keywatch/kv"
)

// runPrivate changes private records.
func (m *Model) runPrivate(c *kv.PrivateCommand) (r Result) {
	for i, k := range c.Checks {
		if m.private[k.Name].Rev != k.Rev {
			return Result{Outcome: kv.CheckFailed, Failed: i}
		}
	}
	m.Rev++
	if c.Narrow || m.Auth == 0 {
		m.Auth = m.Rev
	}
	for _, p := range c.Puts {
		m.private[p.Name] = kv.PrivateRecord{Name: p.Name, Value: p.Value, Rev: m.Rev}
	}
	for _, name := range c.Deletes {
		delete(m.private, name)
	}
	return Result{Outcome: kv.Committed, Rev: m.Rev}
}

// Private returns the private records in order of name.
func (m *Model) Private() (out []kv.PrivateRecord) {
	for _, name := range slices.Sorted(maps.Keys(m.private)) {
		out = append(out, m.private[name])
	}
	return out
}

var privateNames = []string{"cred/a", "cred/b", "role/a", "user/u-1", "user/u-2"}

// Private draws a private command.
func (g *Generator) Private(t *rapid.T) *kv.Command {
	c := &kv.PrivateCommand{Narrow: chance(t, 40, "narrow")}
	for _, name := range privateNames {
		switch rapid.IntRange(0, 5).Draw(t, "change "+name) {
		case 0, 1:
			value := rapid.SampledFrom([]string{"x", "y", "sealed \x00\xff"}).Draw(t, "private value")
			c.Puts = append(c.Puts, kv.PrivateRecord{Name: name, Value: []byte(value)})
		case 2:
			c.Deletes = append(c.Deletes, name)
		}
	}
	if len(c.Puts)+len(c.Deletes) == 0 {
		c.Deletes = privateNames[:1]
	}
	for range rapid.SampledFrom([]int{0, 1, 1, 2}).Draw(t, "private checks") {
		k := kv.PrivateCheck{Name: rapid.SampledFrom(privateNames).Draw(t, "check name")}
		if k.Rev = g.model.private[k.Name].Rev; chance(t, 20, "miss") {
			k.Rev++
		}
		c.Checks = append(c.Checks, k)
	}
	return &kv.Command{Private: c, Auth: g.auth(t)}
}

// auth draws the auth revision that a command was allowed under.
func (g *Generator) auth(t *rapid.T) kv.Rev {
	switch rapid.IntRange(0, 5).Draw(t, "auth") {
	case 0, 1, 2:
		return 0
	case 3:
		return max(1, g.model.Auth) - 1
	}
	return g.model.Auth
}
