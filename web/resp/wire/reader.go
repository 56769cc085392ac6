package wire

import "fmt"

const (
	// MaxLine is the longest line that is read: an inline command, a length.
	MaxLine = 64 << 10
	// MaxArgs is how many arguments a command may have.
	MaxArgs = 1 << 20
	// MaxArg is how long an argument may be, in bytes.
	MaxArg = 64 << 20
)

// An Error says what is wrong with a request. It is answered, and the connection closed: where
// the next request begins is not known.
type Error string

func (e Error) Error() string { return string(e) }

// A Reader reads requests, in place where a request arrives whole. What it keeps of one that
// does not is bounded. It is not safe for concurrent use. The zero Reader is ready.
type Reader struct {
	// Most is how many bytes of the arguments of one command are kept; the rest is read past.
	// 0 is no bound but MaxArg and MaxArgs.
	Most int

	args [][]byte
	// part is what is kept of a request that is not whole; nil if none has begun.
	part *part
}

// A part is what is kept of a request that has begun. line is the beginning of a line, want how
// many arguments are missing, multi whether that is known, bulk how many bytes the argument at hand
// is, or -1, and got how many of them have come, of which skip says that none are kept; tail
// counts the bytes of the line end that follow it. large says that an argument was not kept.
type part struct {
	line        []byte
	buf         []byte
	ends        []int
	want        int
	bulk, got   int
	tail        int
	multi       bool
	skip, large bool
}

// A Request is one command as it was sent. Args belong to the Reader, and are good until the
// next call.
type Request struct {
	Args [][]byte
	// Inline says that it was sent as a line of text.
	Inline bool
	// TooLarge says that arguments were left out, because they are larger than Reader.Most:
	// there are as many as were sent, but those are empty.
	TooLarge bool
}

// Next reads a request from p and returns how many bytes it has used. ok is false if p has no
// whole request: then it has used all of p. A request without arguments is to be passed over.
// It fails with an Error.
func (r *Reader) Next(p []byte) (q Request, n int, ok bool, err error) {
	if r.part == nil {
		if len(p) == 0 {
			return q, 0, false, nil
		}
		if q.Inline, n, ok, err = r.whole(p); ok || err != nil {
			q.Args = r.args
			return q, n, ok, err
		}
		r.part = new(part)
	}
	q, n, ok, err = r.continued(p)
	if ok || err != nil {
		r.part = nil
	}
	return q, n, ok, err
}

// Pending returns how many bytes the Reader keeps of a request that is not whole.
func (r *Reader) Pending() int {
	if r.part == nil {
		return 0
	}
	return cap(r.part.line) + cap(r.part.buf) + 8*cap(r.part.ends)
}

// Idle reports whether no request has begun that is not whole.
func (r *Reader) Idle() bool { return r.part == nil }

// Drop lets go of what is kept.
func (r *Reader) Drop() { *r = Reader{Most: r.Most} }

// keepArgs is the longest list of arguments that Reset keeps room for.
const keepArgs = 64

// Reset makes r the zero Reader again, but for a little room.
func (r *Reader) Reset() {
	*r = Reader{args: r.args[:0]}
	if cap(r.args) > keepArgs {
		r.args = nil
	}
	clear(r.args[:cap(r.args)])
}

// whole reads a request that is whole and small in p, in place. It reports false, and
// changes nothing, where it is not.
func (r *Reader) whole(p []byte) (inline bool, n int, ok bool, err error) {
	line, n, ok := cut(p)
	if !ok {
		return false, 0, false, nil
	}
	if p[0] != '*' {
		if r.args, err = split(r.args[:0], line); err != nil {
			return true, 0, false, err
		}
		return true, n, true, nil
	}
	count, err := multibulk(line)
	if err != nil {
		return false, 0, false, err
	}
	r.args = r.args[:0]
	for range count {
		line, used, ok := cut(p[n:])
		if !ok {
			return false, 0, false, nil
		}
		size, err := bulk(line)
		if err != nil {
			return false, 0, false, err
		}
		n += used
		if r.Most > 0 && size > r.Most || len(p)-n < size+2 {
			return false, 0, false, nil
		}
		r.args = append(r.args, p[n:n+size:n+size])
		n += size + 2
	}
	return false, n, true, nil
}

// cut returns the first line of p without its end, and how long it is with it.
func cut(p []byte) (line []byte, n int, ok bool) {
	most := min(len(p), MaxLine)
	for i := range most {
		if p[i] == '\n' {
			line = p[:i]
			if i > 0 && p[i-1] == '\r' {
				line = p[:i-1]
			}
			return line, i + 1, true
		}
	}
	return nil, 0, false
}

// continued reads on in a request that did not arrive whole, or is large.
func (r *Reader) continued(p []byte) (q Request, n int, ok bool, err error) {
	k := r.part
	for n < len(p) {
		if k.inArgument() {
			if n += k.argument(p[n:]); k.want == 0 {
				return r.finish(), n, true, nil
			}
			continue
		}
		used, whole := k.collect(p[n:])
		n += used
		if !whole {
			if len(k.line) >= MaxLine {
				return q, n, false, k.lineError()
			}
			continue
		}
		line := trim(k.line)
		if !k.multi && (len(line) == 0 || line[0] != '*') {
			r.args, err = split(r.args[:0], line)
			return Request{Args: r.args, Inline: true}, n, err == nil, err
		}
		if err := k.length(line, r.Most); err != nil {
			return q, n, false, err
		}
		k.line = k.line[:0]
		if k.want == 0 {
			return r.finish(), n, true, nil
		}
	}
	return q, n, false, nil
}

// inArgument reports whether bytes of an argument, or its end, come next.
func (k *part) inArgument() bool { return k.multi && k.bulk >= 0 && (k.tail > 0 || k.got < k.bulk) }

// collect appends to the line at hand up to its end.
func (k *part) collect(p []byte) (n int, whole bool) {
	for n < len(p) && len(k.line) < MaxLine {
		c := p[n]
		n++
		k.line = append(k.line, c)
		if c == '\n' {
			return n, true
		}
	}
	return n, false
}

func trim(line []byte) []byte {
	line = line[:len(line)-1]
	if len(line) > 0 && line[len(line)-1] == '\r' {
		line = line[:len(line)-1]
	}
	return line
}

func (k *part) lineError() error {
	switch {
	case k.multi:
		return Error("Protocol error: too big bulk count string")
	case k.line[0] == '*':
		return Error("Protocol error: too big mbulk count string")
	}
	return Error("Protocol error: too big inline request")
}

// length reads a line of a command of many arguments: how many there are, or how long the
// next one is. most is Reader.Most.
func (k *part) length(line []byte, most int) (err error) {
	if !k.multi {
		k.want, err = multibulk(line)
		k.multi, k.bulk = err == nil, -1
		return err
	}
	if k.bulk, err = bulk(line); err != nil {
		return err
	}
	k.got, k.tail = 0, 2
	k.skip = most > 0 && len(k.buf)+k.bulk > most
	k.large = k.large || k.skip
	return nil
}

// argument takes bytes of the argument at hand, and returns how many it has taken.
func (k *part) argument(p []byte) (n int) {
	if n = min(len(p), k.bulk-k.got); !k.skip {
		k.buf = append(k.buf, p[:n]...)
	}
	k.got += n
	end := min(len(p)-n, k.tail)
	if k.tail -= end; k.tail == 0 && k.got == k.bulk {
		k.ends = append(k.ends, len(k.buf))
		k.want--
		k.bulk = -1
	}
	return n + end
}

// finish returns the request that was kept.
func (r *Reader) finish() Request {
	k := r.part
	r.args = r.args[:0]
	at := 0
	for _, end := range k.ends {
		r.args = append(r.args, k.buf[at:end:end])
		at = end
	}
	return Request{Args: r.args, TooLarge: k.large}
}

// multibulk reads how many arguments a command has: *N.
func multibulk(line []byte) (int, error) {
	n, ok := number(line[1:])
	switch {
	case !ok || n > MaxArgs:
		return 0, Error("Protocol error: invalid multibulk length")
	case n < 0:
		return 0, nil
	}
	return int(n), nil
}

// bulk reads how long an argument is: $N.
func bulk(line []byte) (int, error) {
	if len(line) == 0 || line[0] != '$' {
		c := byte(0)
		if len(line) > 0 {
			c = line[0]
		}
		if c == 0 {
			return 0, Error("Protocol error: expected '$', got ' '")
		}
		return 0, Error(fmt.Sprintf("Protocol error: expected '$', got '%c'", c))
	}
	n, ok := number(line[1:])
	if !ok || n < 0 || n > MaxArg {
		return 0, Error("Protocol error: invalid bulk length")
	}
	return int(n), nil
}

// number reads a decimal number of 64 bits.
func number(s []byte) (n int64, ok bool) {
	negative := len(s) > 0 && s[0] == '-'
	if negative {
		s = s[1:]
	}
	if len(s) == 0 || len(s) > 18 || s[0] == '0' && len(s) > 1 {
		return 0, false
	}
	for _, c := range s {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	if negative {
		n = -n
	}
	return n, true
}
