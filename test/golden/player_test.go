package golden_test

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A player does what a script says, and notes what it reads.
type player struct {
	t      testing.TB
	server *server
	wires  map[string]*wire
	on     string
	names  names

	// sending is what the lines of a request have said so far.
	sending []string
	// owed says that something was sent and nothing was read yet, framed that it
	// was a frame.
	owed, framed bool
	reads        []string
}

// play does what a block says and returns what it read.
func (p *player) play(b *block) ([]string, error) {
	p.reads = nil
	for i, line := range b.did {
		if err := p.line(line); err != nil {
			return p.reads, fmt.Errorf("line %d: %w", b.line+i, err)
		}
	}
	if err := p.settle(); err != nil {
		return p.reads, fmt.Errorf("line %d: %w", b.line+len(b.did)-1, err)
	}
	return p.reads, nil
}

func (p *player) line(line string) error {
	if text, ok := strings.CutPrefix(line, ">> "); ok {
		p.sending = append(p.sending, text)
		return nil
	}
	if text, ok := strings.CutPrefix(line, ">"); ok {
		p.sending = append(p.sending, strings.TrimPrefix(text, " ")+"⟨0d0a⟩")
		return nil
	}
	if err := p.flush(); err != nil {
		return err
	}
	word, rest, _ := strings.Cut(line, " ")
	switch word {
	case "", "#":
		return nil
	case "answer", "head", "shape", "until", "frames", "end", "later":
		p.owed = false
		return p.read(word, unescape(p.names.fill(rest)))
	}
	if err := p.settle(); err != nil {
		return err
	}
	return p.act(word, rest)
}

// settle sends what is to be sent, and reads what that is answered with.
func (p *player) settle() error {
	if err := p.flush(); err != nil || !p.owed {
		return err
	}
	p.owed = false
	if p.framed {
		return p.read("frames", "1")
	}
	return p.read("answer", "")
}

// flush sends the lines of a request.
func (p *player) flush() error {
	if len(p.sending) == 0 {
		return nil
	}
	text := unescape(p.names.fill(complete(p.sending)))
	p.sending = nil
	p.owed, p.framed = true, false
	w, err := p.wire(true)
	if err != nil {
		return err
	}
	return w.send(text)
}

// complete returns a request with what its lines leave out.
func complete(lines []string) string {
	const end = "⟨0d0a⟩"
	first := strings.TrimSuffix(lines[0], end)
	if strings.Contains(first, "HTTP/") || !strings.Contains(first, " /") {
		return strings.Join(lines, "")
	}
	head := []string{first + " HTTP/1.1", "Host: localhost"}
	body, hasBody := "", false
	for i, line := range lines[1:] {
		if line == end {
			body, hasBody = strings.TrimSuffix(strings.Join(lines[i+2:], ""), end), true
			break
		}
		head = append(head, strings.TrimSuffix(line, end))
	}
	if hasBody {
		head = append(head, fmt.Sprintf("Content-Length: %d", len(unescape(body))))
	}
	return strings.Join(head, end) + end + end + body
}

// wire returns the connection that the script is on. To send on one that is over a
// new one is opened.
func (p *player) wire(sending bool) (*wire, error) {
	if w := p.wires[p.on]; w != nil && !(sending && w.over) {
		return w, nil
	}
	w, err := dial(p.server.addr)
	if err == nil {
		p.wires[p.on] = w
	}
	return w, err
}

// act does what is neither sending nor reading.
func (p *player) act(word, rest string) error {
	switch word {
	case "serve":
		return p.serve(strings.Fields(rest))
	case "on":
		p.on = rest
	case "drop":
		w := p.wires[p.on]
		delete(p.wires, p.on)
		return w.conn.Close()
	case "frame":
		w, err := p.wire(false)
		if err != nil {
			return err
		}
		digits, text, _ := strings.Cut(rest, " ")
		first, err := hex.DecodeString(digits)
		if err != nil || len(first) != 1 {
			return fmt.Errorf("frame %q: %w", digits, err)
		}
		p.owed, p.framed = true, true
		return w.frame(first[0], unescape(p.names.fill(text)))
	case "await":
		path, text, _ := strings.Cut(rest, " ")
		return p.await(p.names.fill(path), p.names.fill(text))
	case "stop":
		p.server.stop()
	default:
		return fmt.Errorf("unknown command %q", word)
	}
	return nil
}

// serve starts a server and learns its epoch.
func (p *player) serve(flags []string) error {
	p.close()
	p.server = startServer(p.t, flags)
	p.wires, p.on, p.names = map[string]*wire{}, "", names{}
	head, _, err := p.ask("HEAD", "/v1/kv?limit=1")
	p.names.epoch, _, _ = strings.Cut(field(head, "Keywatch-Position"), "-")
	return err
}

// ask sends a request on a connection of its own.
func (p *player) ask(method, path string) (head, body string, err error) {
	w, err := dial(p.server.addr)
	if err != nil {
		return "", "", err
	}
	defer w.conn.Close()
	if err := w.send(method + " " + path + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"); err != nil {
		return "", "", err
	}
	return w.readAnswer()
}

// await asks for path until the answer contains text.
func (p *player) await(path, text string) error {
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		head, body, err := p.ask("GET", path)
		if err != nil || strings.Contains(head+body, text) {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s is still %q", path, body)
		}
	}
}

// close ends the server and all connections.
func (p *player) close() {
	for _, w := range p.wires {
		w.conn.Close()
	}
	if p.server != nil {
		p.server.end()
		p.server = nil
	}
}

// read reads what word names and notes it.
func (p *player) read(word, rest string) error {
	if word == "later" {
		return nil
	}
	w, err := p.wire(false)
	if err != nil {
		return err
	}
	switch word {
	case "frames":
		return p.readFrames(w, rest)
	case "until", "end":
		return p.readStream(w, word, rest)
	}
	head, body, err := w.readAnswer()
	if err != nil {
		p.note(head + body)
		return err
	}
	switch word {
	case "head":
		p.note(lengthText.ReplaceAllString(head, "Content-Length: ~"))
	case "shape":
		shape, _ := p.names.mask(body)
		p.note(lengthText.ReplaceAllString(head, "Content-Length: ~") + numbers.ReplaceAllString(shape, "0"))
	default:
		return p.noteAnswer(head, body)
	}
	return nil
}

func (p *player) readFrames(w *wire, rest string) error {
	n, err := strconv.Atoi(rest)
	if err != nil {
		return err
	}
	for range n {
		if _, err := p.readFrame(w); err != nil {
			return err
		}
	}
	return nil
}

// closeFrame is the first byte of a frame that ends a WebSocket. Its payload is a
// code of two bytes and words.
const closeFrame = 0x88

// readFrame notes one frame and returns its first byte.
func (p *player) readFrame(w *wire) (first byte, err error) {
	first, payload, err := w.readFrame()
	if err != nil {
		return 0, err
	}
	text, words := p.names.mask(payload)
	if first == closeFrame && len(text) > 2 {
		text, words = text[:2]+"~", []string{mark("~", text[2:])}
	}
	p.reads = append(append(p.reads, mark(fmt.Sprintf("<%02x", first), text)), words...)
	return first, nil
}

// readClose notes frames up to the one that ends the WebSocket, and agrees to the
// end.
func (p *player) readClose(w *wire) error {
	for {
		first, err := p.readFrame(w)
		if err != nil {
			return err
		}
		if first == closeFrame {
			_ = w.frame(closeFrame, "") // the server may have closed already
			rest, err := w.readEnd()
			p.note(rest)
			return err
		}
	}
}

func (p *player) readStream(w *wire, word, text string) error {
	if word == "end" && w.framed {
		return p.readClose(w)
	}
	if word == "end" && w.body == nil {
		rest, err := w.readEnd()
		p.note(rest)
		return err
	}
	head, err := w.openStream()
	p.note(head)
	if err != nil {
		return err
	}
	var read string
	if word == "end" {
		read, err = w.readRest()
	} else {
		read, err = w.readUntil(text)
	}
	p.note(read)
	return err
}

// note notes what was read.
func (p *player) note(text string) {
	masked, words := p.names.mask(text)
	p.reads = append(append(p.reads, show(masked)...), words...)
}

// noteAnswer notes an answer, whose Content-Length must be what it is.
func (p *player) noteAnswer(head, body string) error {
	masked, words := p.names.mask(body)
	if len(masked) != len(body) || field(head, "Content-Type") == "application/problem+json" {
		head = lengthText.ReplaceAllString(head, "Content-Length: ~")
	}
	shown, _ := p.names.mask(head)
	p.reads = append(append(p.reads, show(shown+masked)...), words...)
	return nil
}
