package wire_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"keywatch/web/resp/wire"
)

// read feeds pieces to a reader and returns what it read as text, and its error.
func read(t testing.TB, most int, pieces ...string) (got []string, err error) {
	r := wire.Reader{Most: most}
	for _, piece := range pieces {
		p := []byte(piece)
		for {
			q, n, ok, err := r.Next(p)
			if err != nil {
				return got, err
			}
			if n < 0 || n > len(p) || !ok && n != len(p) {
				t.Fatalf("used %d of %d bytes, whole %v", n, len(p), ok)
			}
			if !ok {
				break
			}
			if len(q.Args) > 0 {
				got = append(got, fmt.Sprintf("%q%v", q.Args, q.TooLarge))
			}
			p = p[n:]
		}
		clear(p)
		if pending := r.Pending(); pending > 4*(most+wire.MaxLine)+16<<20 {
			t.Fatalf("the reader keeps %d bytes", pending)
		}
	}
	return got, nil
}

var sessions = []string{
	"*2\r\n$3\r\nGET\r\n$1\r\na\r\n*1\r\n$4\r\nPING\r\n",
	"PING\r\n  SET a \"b c\\x00\\n\" 'd\\'e'\r\n\r\nGET\ta\n",
	"*0\r\n*-10\r\n\r\n*1\r\n$0\r\n\r\n*3\r\n$3\r\nSET\r\n$2\r\n\r\n\r\n$5\r\n*1\r\n$\r\n",
	"*1\r\n$4\r\nPING\r\n\r\n*1\r\n$4\r\nECHO\r\n", // redis-cli --pipe ends what it sends so
	"*2\r\n$3\r\nGET\r\n$20\r\n12345678901234567890\r\nPING\r\n",
}

// Bytes that are split anywhere must be read as they are when they come at once, or a command
// would be another one on a slow network.
func TestEverySplitReadsAlike(t *testing.T) {
	for _, s := range sessions {
		for _, most := range []int{0, 10} {
			want, err := read(t, most, s)
			if err != nil || len(want) == 0 {
				t.Fatalf("%q: %v", s, err)
			}
			for i := range s {
				if got, err := read(t, most, s[:i], s[i:]); err != nil || !slices.Equal(got, want) {
					t.Fatalf("%q split at %d: got %v, %v, want %v", s, i, got, err, want)
				}
			}
			if got, err := read(t, most, strings.Split(s, "")...); err != nil || !slices.Equal(got, want) {
				t.Fatalf("%q byte by byte: got %v, %v, want %v", s, got, err, want)
			}
		}
	}
}

// Words must come out as the shell of Redis puts them in.
func TestInlineWords(t *testing.T) {
	for line, want := range map[string][]string{
		`SET a b`: {"SET", "a", "b"}, ` "a b" 'c d' `: {"a b", "c d"}, `""`: {""}, `''`: {""},
		`"\n\r\t\b\a\q\\\""`: {"\n\r\t\b\aq\\\""}, `'\n\''`: {`\n'`}, `"\x41\xzz"`: {"Axzz"}, `a"b c"`: {"ab c"},
	} {
		got, err := read(t, 0, line+"\r\n")
		bytesWant := make([][]byte, len(want))
		for i := range want {
			bytesWant[i] = []byte(want[i])
		}
		if err != nil || len(got) != 1 || got[0] != fmt.Sprintf("%q%v", bytesWant, false) {
			t.Errorf("%s: got %v, %v, want %q", line, got, err, want)
		}
	}
	for _, line := range []string{`"a`, `'a`, `"a"b`, `'a'b`, `"a\"`, `"`} {
		if _, err := read(t, 0, line+"\r\n"); err != wire.Error("Protocol error: unbalanced quotes in request") {
			t.Errorf("%s: got %v", line, err)
		}
	}
}

// A length that is believed costs memory, or the process: thirty bytes ended a library's.
func TestLengthsAreRefused(t *testing.T) {
	line := strings.Repeat("x", wire.MaxLine)
	for s, want := range map[string]string{
		"*1 $9223372036854775807 ab\r\n":         "invalid multibulk length",
		"*1048577\r\n":                           "invalid multibulk length",
		"*99999999999999999999\r\n":              "invalid multibulk length",
		"*x\r\n":                                 "invalid multibulk length",
		"*\r\n":                                  "invalid multibulk length",
		"*01\r\n":                                "invalid multibulk length",
		"*1\r\n$-1\r\n":                          "invalid bulk length",
		"*1\r\n$67108865\r\n":                    "invalid bulk length",
		"*1\r\n$9223372036854775807\r\n":         "invalid bulk length",
		"*1\r\n$x\r\n":                           "invalid bulk length",
		"*3\r\n$3\r\nSET\r\n$1\r\nx\r\nfooz\r\n": "expected '$', got 'f'",
		"*1\r\n\r\n":                             "expected '$', got ' '",
		line + "x":                               "too big inline request",
		"*" + line:                               "too big mbulk count string",
		"*1\r\n$" + line:                         "too big bulk count string",
	} {
		for _, pieces := range [][]string{{s}, strings.SplitAfter(s, "\n")} {
			_, err := read(t, 0, pieces...)
			var e wire.Error
			if !errors.As(err, &e) || string(e) != "Protocol error: "+want {
				t.Errorf("%.40q: got %v, want %s", s, err, want)
			}
		}
	}
}

// An argument that is too large must cost its command and no other, and no memory.
func TestLargeArgumentIsReadPast(t *testing.T) {
	const size = 1 << 20
	r := wire.Reader{Most: 100}
	feed := func(s string) (q wire.Request, ok bool) {
		q, n, ok, err := r.Next([]byte(s))
		if err != nil || n != len(s) {
			t.Fatalf("used %d of %d: %v", n, len(s), err)
		}
		return q, ok
	}
	feed(fmt.Sprintf("*3\r\n$3\r\nSET\r\n$1\r\na\r\n$%d\r\n", size))
	piece := strings.Repeat("v", 1<<10)
	for range size / len(piece) {
		if _, ok := feed(piece); ok {
			t.Fatal("it has ended too soon")
		}
		if r.Pending() > 8<<10 {
			t.Fatalf("the reader keeps %d bytes", r.Pending())
		}
	}
	q, ok := feed("\r\n")
	if !ok || !q.TooLarge || len(q.Args) != 3 || string(q.Args[1]) != "a" || len(q.Args[2]) != 0 {
		t.Errorf("got %q, %v, too large %v", q.Args, ok, q.TooLarge)
	}
	if q, ok := feed("*1\r\n$4\r\nPING\r\n"); !ok || q.TooLarge || string(q.Args[0]) != "PING" {
		t.Errorf("the next command: got %q, %v", q.Args, ok)
	}
}

// Whatever comes, in whatever pieces, is read alike, and costs bounded memory.
func FuzzReader(f *testing.F) {
	for _, s := range sessions {
		f.Add([]byte(s), uint(3))
	}
	f.Add([]byte("*1 $9223372036854775807 ab"), uint(1))
	f.Add([]byte("*3\r\n$3\r\nSET\r\n$2147483648\r\n"), uint(9))
	f.Fuzz(func(t *testing.T, b []byte, at uint) {
		const most = 64
		want, wantErr := read(t, most, string(b))
		i := int(at % uint(len(b)+1))
		got, err := read(t, most, string(b[:i]), string(b[i:]))
		if !slices.Equal(got, want) || fmt.Sprint(err) != fmt.Sprint(wantErr) {
			t.Errorf("split at %d: got %v, %v, want %v, %v", i, got, err, want, wantErr)
		}
		single := make([]string, len(b))
		for i := range b {
			single[i] = string(b[i : i+1])
		}
		if got, err := read(t, most, single...); !slices.Equal(got, want) || fmt.Sprint(err) != fmt.Sprint(wantErr) {
			t.Errorf("byte by byte: got %v, %v, want %v, %v", got, err, want, wantErr)
		}
	})
}

// A reply that differs by a byte is another one to a client.
func TestReplies(t *testing.T) {
	var b []byte
	b = wire.AppendSimple(b, "OK")
	b = wire.AppendError(b, "ERR a\r\nb")
	b = wire.AppendInt(b, -5)
	b = wire.AppendBulk(b, "a\r\nb")
	b = wire.AppendArray(b, 2)
	for _, p := range []wire.Proto{wire.RESP2, wire.RESP3} {
		b = p.Nil(b)
		b = p.NilArray(b)
		b = p.Map(b, 1)
		b = p.Set(b, 1)
		b = p.Push(b, 3)
		b = p.Text(b, "hi")
	}
	want := "+OK\r\n-ERR a  b\r\n:-5\r\n$4\r\na\r\nb\r\n*2\r\n" +
		"$-1\r\n*-1\r\n*2\r\n*1\r\n*3\r\n$2\r\nhi\r\n" + "_\r\n_\r\n%1\r\n~1\r\n>3\r\n=6\r\ntxt:hi\r\n"
	if !bytes.Equal(b, []byte(want)) {
		t.Errorf("got %q\nwant %q", b, want)
	}
}

func BenchmarkReader(b *testing.B) {
	var r wire.Reader
	p := []byte(strings.Repeat("*3\r\n$3\r\nSET\r\n$5\r\nkey:1\r\n$10\r\n0123456789\r\n", 100))
	b.SetBytes(int64(len(p)))
	for b.Loop() {
		for at := 0; at < len(p); {
			_, n, _, _ := r.Next(p[at:])
			at += n
		}
	}
}
