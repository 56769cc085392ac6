package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// isTerminal reports whether a person looks at w. The null device counts as
// one too, which does no harm.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// printJSON prints a JSON document on one line.
func (s *session) printJSON(document []byte) error {
	var line bytes.Buffer
	if err := json.Compact(&line, document); err != nil {
		return fmt.Errorf("the server's answer is not JSON: %w", err)
	}
	line.WriteByte('\n')
	_, err := s.stdout.Write(line.Bytes())
	return err
}

// printValue marshals v and prints it on one line.
func (s *session) printValue(v any) error {
	document, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return s.printJSON(document)
}

// printf prints to standard output.
func (s *session) printf(format string, args ...any) error {
	_, err := fmt.Fprintf(s.stdout, format, args...)
	return err
}

// prefixOf reports whether a key argument is a prefix, and which: "jobs/" is
// "jobs/", and "/" is everything.
func prefixOf(arg string) (prefix string, ok bool) {
	if arg == "/" {
		return "", true
	}
	return arg, strings.HasSuffix(arg, "/")
}

// ttlText shows a time to live that has ms milliseconds left.
func ttlText(ms *int64) string {
	if ms == nil {
		return "-"
	}
	return (time.Duration(*ms) * time.Millisecond).String()
}
