package wire

// split appends the words of an inline command to args: words apart by blanks, in double
// quotes with escapes, or in single quotes. Words without quotes share memory with line.
func split(args [][]byte, line []byte) ([][]byte, error) {
	for i := 0; ; {
		for i < len(line) && blank(line[i]) {
			i++
		}
		if i == len(line) {
			return args, nil
		}
		word, n, ok := word(line[i:])
		if !ok {
			return nil, Error("Protocol error: unbalanced quotes in request")
		}
		args = append(args, word)
		i += n
	}
}

func blank(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' || c == 0 }

// word returns the first word of s and how long it is there.
func word(s []byte) (w []byte, n int, ok bool) {
	plain := 0
	for plain < len(s) && !blank(s[plain]) && s[plain] != '"' && s[plain] != '\'' {
		plain++
	}
	if plain == len(s) || blank(s[plain]) {
		return s[:plain:plain], plain, true
	}
	w = append(w, s[:plain]...)
	for n = plain; n < len(s) && !blank(s[n]); {
		c := s[n]
		if c != '"' && c != '\'' {
			w = append(w, c)
			n++
			continue
		}
		used := 0
		if w, used, ok = quoted(w, s[n+1:], c); !ok {
			return nil, 0, false
		}
		if n += 1 + used; n < len(s) && !blank(s[n]) {
			return nil, 0, false // nothing but a blank may follow
		}
	}
	if w == nil {
		w = []byte{}
	}
	return w, n, true
}

// quoted appends what stands in s up to the quote, and returns how long it is with it.
func quoted(w, s []byte, quote byte) (_ []byte, n int, ok bool) {
	for n < len(s) {
		c := s[n]
		switch {
		case c == quote:
			return w, n + 1, true
		case c == '\\' && quote == '\'' && n+1 < len(s) && s[n+1] == '\'':
			c = '\''
			n++
		case c == '\\' && quote == '"' && n+3 < len(s) && s[n+1] == 'x' && hex(s[n+2]) >= 0 && hex(s[n+3]) >= 0:
			c = byte(hex(s[n+2])<<4 | hex(s[n+3]))
			n += 3
		case c == '\\' && quote == '"' && n+1 < len(s):
			c = escape(s[n+1])
			n++
		}
		w = append(w, c)
		n++
	}
	return nil, 0, false
}

func escape(c byte) byte {
	switch c {
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	case 'b':
		return '\b'
	case 'a':
		return '\a'
	}
	return c
}

func hex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}
