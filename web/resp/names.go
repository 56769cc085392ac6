package resp

import (
	"keywatch/kv"
	"keywatch/watch"
)

// names says what keys are called by clients of Redis. Behind the session every key is as it is stored:
// the arguments of a command are changed before anything looks at them, and what is shown is changed where
// it is rendered. The zero value calls every key what it is.
type names struct{ escape bool }

// store has the keys among the arguments of a command be as they are stored. It fails with a *kv.KeyError,
// and then changes nothing.
func (n names) store(cmd *command, args [][]byte) error {
	if !n.escape {
		return nil
	}
	places := cmd.placesOf(args)
	keys := make([][]byte, len(places))
	for i, at := range places {
		var err error
		if keys[i], err = escaped(args[at]); err != nil {
			return err
		}
	}
	for i, at := range places {
		args[at] = keys[i]
	}
	return nil
}

// stored returns the stored key of a name.
func (n names) stored(name string) (string, error) {
	if !n.escape {
		return name, nil
	}
	key, err := escaped([]byte(name))
	return string(key), err
}

// shown returns the name of a stored key.
func (n names) shown(key string) string {
	if !n.escape {
		return key
	}
	return unescaped(key)
}

// shownAll returns the names of stored keys, nil for nil.
func (n names) shownAll(keys []string) []string {
	if !n.escape || keys == nil {
		return keys
	}
	all := make([]string, len(keys))
	for i, key := range keys {
		all[i] = unescaped(key)
	}
	return all
}

// under returns what the stored keys begin with whose names begin with prefix, and, if it is not empty, one
// more such key. Stored keys of other names may begin so too.
func (n names) under(prefix string) (stored, also string) {
	if !n.escape {
		return prefix, ""
	}
	stored, also, _ = escapedUnder(prefix)
	return stored, also
}

// underAll is under for prefixes, without the one more of each.
func (n names) underAll(prefixes []string) []string {
	if !n.escape {
		return prefixes
	}
	all := make([]string, len(prefixes))
	for i, prefix := range prefixes {
		all[i], _ = n.under(prefix)
	}
	return all
}

// watch has a request for a watch name keys and prefixes as they are stored. The key that is a prefix alone
// is watched too if the session's caller may.
func (n names) watch(s *session, r *watch.Request) error {
	if !n.escape {
		return nil
	}
	var keys, prefixes []string
	for _, name := range r.Keys {
		key, err := n.stored(name)
		if err != nil {
			return err
		}
		keys = append(keys, key)
	}
	for _, name := range r.Prefixes {
		prefix, also, exact := escapedUnder(name)
		if !exact {
			return &kv.KeyError{Key: name, Reason: "what begins so cannot be watched with --resp-keys=escape"}
		}
		prefixes = append(prefixes, prefix)
		if also != "" && s.mayBeTold(true, also) {
			keys = append(keys, also)
		}
	}
	r.Keys, r.Prefixes = keys, prefixes
	return nil
}

// scan calls yield with each key that begins with what the names under prefix are stored with, after one
// key, and before all others with the one more such key if the session's caller may read it.
func (n names) scan(s *session, snap *kv.Snapshot, prefix, after string) func(yield func(string, *kv.Entry) bool) {
	stored, also := n.under(prefix)
	if also == "" || after != "" || !s.mayBeTold(false, also) {
		return snap.Scan(stored, after)
	}
	return func(yield func(string, *kv.Entry) bool) {
		if e := snap.Get(also); e != nil && !e.Deleted() && !yield(also, e) {
			return
		}
		snap.Scan(stored, "")(yield)
	}
}
