package main

import (
	"strings"

	kw "keywatch/client"
)

// writeFlags are the flags of every write of keys.
type writeFlags struct {
	once
	fenced
}

// options returns what the flags mean to a write.
func (f *writeFlags) options() ([]kw.WriteOption, error) {
	opts, err := f.fenced.options()
	return append(opts, f.once.options()...), err
}

// ifETag returns the condition that --if-match stands for.
func ifETag(etag string) (kw.WriteOption, error) {
	if strings.Trim(etag, `"`) == "" {
		return nil, usagef("--if-match is empty")
	}
	return kw.If(kw.IfETag(etag)), nil
}

// printWritten prints the outcome of a write of one key.
func (s *session) printWritten(did kw.Written) error {
	if s.json() {
		return s.printValue(did)
	}
	what := "replaced"
	if did.Created {
		what = "created"
	}
	return s.printf("%s version=%d etag=%s\n", what, did.Version, strings.Trim(did.ETag, `"`))
}

// printDeleted prints that one key was deleted.
func (s *session) printDeleted() error {
	if s.json() {
		return s.printValue(map[string]int{"deleted": 1})
	}
	return s.printf("deleted\n")
}
