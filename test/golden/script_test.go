package golden_test

import (
	"encoding/hex"
	"fmt"
	"os"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A block is a piece of a script: what is done, and what must be read then.
type block struct {
	line  int      // of the first line of did, from 1
	did   []string // lines as they stand in the file
	reads []string // lines of answers
}

// readScript reads the blocks of a file.
func readScript(path string) ([]block, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var blocks []block
	for i, line := range strings.Split(strings.TrimSuffix(string(text), "\n"), "\n") {
		read := isRead(line)
		if len(blocks) == 0 || line == "" || !read && len(blocks[len(blocks)-1].reads) > 0 {
			blocks = append(blocks, block{line: i + 1})
		}
		b := &blocks[len(blocks)-1]
		if read {
			b.reads = append(b.reads, line)
		} else {
			b.did = append(b.did, line)
		}
	}
	return blocks, nil
}

func isRead(line string) bool { return strings.HasPrefix(line, "<") || strings.HasPrefix(line, "~") }

// writeScript writes blocks as a file.
func writeScript(path string, blocks []block) error {
	var b strings.Builder
	for _, one := range blocks {
		for _, line := range append(one.did, one.reads...) {
			b.WriteString(line + "\n")
		}
	}
	return os.WriteFile(path, []byte(b.String()), 0o644)
}

// show returns the lines that stand for bytes of an answer.
func show(text string) (lines []string) {
	for text != "" {
		line, rest, ended := strings.Cut(text, "\n")
		text = rest
		switch bare, crlf := strings.CutSuffix(line, "\r"); {
		case !ended:
			lines = append(lines, mark("<<", line))
		case crlf:
			lines = append(lines, mark("<", bare))
		default:
			lines = append(lines, mark("<.", line))
		}
	}
	return lines
}

// mark returns a line of a script.
func mark(begin, text string) string {
	if text == "" {
		return begin
	}
	return begin + " " + escape(text)
}

// escape writes what cannot be printed in hexadecimal.
func escape(text string) string {
	var b strings.Builder
	var bytes []byte
	flush := func() {
		if len(bytes) > 0 {
			fmt.Fprintf(&b, "⟨%x⟩", bytes)
			bytes = nil
		}
	}
	for text != "" {
		r, n := utf8.DecodeRuneInString(text)
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			bytes = append(bytes, text[:n]...)
		} else {
			flush()
			b.WriteString(text[:n])
		}
		text = text[n:]
	}
	flush()
	// A space at the end of a line would be lost on the way through an editor.
	if s := b.String(); strings.HasSuffix(s, " ") {
		return s[:len(s)-1] + "⟨20⟩"
	}
	return b.String()
}

var escaped = regexp.MustCompile(`⟨([0-9a-f]*)⟩`)

// unescape undoes escape.
func unescape(text string) string {
	return escaped.ReplaceAllStringFunc(text, func(s string) string {
		b, _ := hex.DecodeString(escaped.FindStringSubmatch(s)[1])
		return string(b)
	})
}
