package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"
)

// output is where the results of a command go: standard output.
type output struct{ file *os.File }

// outputError is a result that could not be written.
type outputError struct{ err error }

func (e *outputError) Error() string { return "write the output: " + e.err.Error() }
func (e *outputError) Unwrap() error { return e.err }

// Write writes to the file. It fails with *outputError.
func (o *output) Write(b []byte) (int, error) {
	n, err := o.file.Write(b)
	if err != nil {
		err = &outputError{err}
	}
	return n, err
}

// isTerminal reports whether a person looks at f. The null device counts as a
// terminal too, which does no harm.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// messages is what a command has to say beside its results: standard error.
type messages struct {
	*logWriter
	file *os.File
}

// message tells a person something that is not a result. With -o json it is an
// object with the field "message".
func (s *session) message(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	line := []byte("keywatch: " + text + "\n")
	if s.json() {
		document, _ := json.Marshal(map[string]string{"message": text}) // a string always can be
		line = append(document, '\n')
	}
	_, _ = s.stderr.Write(line)
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

// sizeText shows a number of bytes.
func sizeText(n int64) string {
	if n < 1<<10 {
		return fmt.Sprintf("%d B", n)
	}
	size, unit := float64(n)/(1<<10), 0
	for size >= 1<<10 && unit < 3 {
		size, unit = size/(1<<10), unit+1
	}
	return fmt.Sprintf("%.1f %ciB", size, "KMGT"[unit])
}

// ttlText shows a time to live; 0 is none.
func ttlText(d time.Duration) string {
	if d == 0 {
		return "-"
	}
	return d.String()
}
