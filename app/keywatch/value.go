package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// readValue reads a value argument: "-" is standard input, "@file" a file,
// anything else itself.
func (s *session) readValue(arg string) ([]byte, error) {
	switch {
	case arg == "-":
		return io.ReadAll(s.stdin)
	case strings.HasPrefix(arg, "@"):
		return os.ReadFile(arg[1:])
	}
	return []byte(arg), nil
}

// previewRunes is how much of a value one line shows.
const previewRunes = 60

// preview shows a value on one line: plain if it is, quoted if it is empty or
// would not print as it is, and cut where it is long.
func preview(value []byte) string {
	if !utf8.Valid(value) {
		return fmt.Sprintf("<%d bytes>", len(value))
	}
	text, rest := string(value), ""
	if utf8.RuneCountInString(text) > previewRunes {
		runes := []rune(text)
		text, rest = string(runes[:previewRunes]), "..."
	}
	plain := text != "" && strings.TrimSpace(text) == text && !strings.ContainsFunc(text, func(r rune) bool {
		return !unicode.IsPrint(r)
	})
	if !plain {
		text = strconv.Quote(text)
	}
	return text + rest
}

// withField returns a JSON object with one more string field at its end.
func withField(object []byte, name, value string) []byte {
	end := strings.LastIndexByte(string(object), '}')
	if value == "" || end < 0 {
		return object
	}
	quoted, _ := json.Marshal(value) // a string always can be
	comma := ","
	if strings.TrimSpace(string(object[:end])) == "{" {
		comma = ""
	}
	return fmt.Appendf(nil, "%s%s%q:%s}", object[:end], comma, name, quoted)
}
