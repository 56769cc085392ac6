package ui

import "bytes"

// squeeze returns a script or style sheet without its indentation and the
// lines that are comments from end to end: a sixth of all bytes. It does not
// know the languages, so sources keep to what it understands: no comment begins
// in the middle of a line and goes on, and no template literal has lines.
func squeeze(source []byte) []byte {
	small := make([]byte, 0, len(source))
	within := false
	for line := range bytes.Lines(source) {
		text := bytes.TrimSpace(line)
		if bytes.HasPrefix(text, []byte("/*")) {
			within = true
		}
		if within {
			within = !bytes.HasSuffix(text, []byte("*/"))
			continue
		}
		if len(text) == 0 || bytes.HasPrefix(text, []byte("//")) {
			continue
		}
		small = append(append(small, text...), '\n')
	}
	return small
}
