package peer

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"
)

// receive serves a stream that another node has opened. The error says why it was refused.
func (m *Mesh) receive(s *session) error {
	p := s.peer
	ctx, cancel := context.WithCancelCause(p.ctx)
	defer cancel(errFinished)
	defer context.AfterFunc(ctx, func() { s.raw.Close() })()
	in := incoming{session: s, frames: newFrameReader(heard{s.conn, m.opts.Silence}, s.hello.Incarnation)}
	head, err := in.head()
	if err != nil {
		return err
	}
	var out frameWriter
	out.init(s)
	if err := p.takeStream(); err != nil {
		in.finish(&out, err)
		return err
	}
	defer p.giveStream()
	var pings sync.WaitGroup
	pings.Go(func() { out.ping(ctx) })
	defer pings.Wait()
	defer cancel(errFinished)
	in.broken = cancel
	err = m.opts.ReceiveStream(ctx, p.id, head, &in)
	if err == nil && in.err != io.EOF {
		err = errEarly
	}
	in.finish(&out, err)
	m.opts.Logger.Info("peer stream received", "peer", p.id, "bytes", in.bytes, "received", in.received, "error", err)
	return nil
}

// takeStream counts a stream that the node has open, unless there are too many.
func (p *peer) takeStream() error {
	if p.mesh.opts.ReceiveStream == nil {
		return fmt.Errorf("%w: this node receives none", ErrStreams)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if most := p.mesh.opts.Streams; p.mu.streams >= most {
		return fmt.Errorf("%w: %d are open", ErrStreams, most)
	}
	p.mu.streams++
	return nil
}

func (p *peer) giveStream() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.streams--
}

// incoming is the receiver's end of a stream.
type incoming struct {
	session *session
	frames  *frameReader
	broken  func(error) // ends the context of the receiver
	rest    []byte      // what was not read of the last frame
	err     error       // io.EOF when all was read
	plain   decompressor
	// bytes counts what was read, received what that took in frames.
	bytes, received uint64
}

// next returns the next frame that is no ping.
func (in *incoming) next() (frame, error) {
	for {
		f, err := in.frames.next()
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return f, silent(err, in.session.peer.mesh.opts.Silence)
		}
		if f.class == ping {
			continue
		}
		if f.rest > 0 {
			return f, fmt.Errorf("%w: %s, %d bytes follow", ErrFrame, f.class, f.rest)
		}
		return f, nil
	}
}

func (in *incoming) head() ([]byte, error) {
	f, err := in.next()
	if err == nil && f.class != streamHead {
		err = fmt.Errorf("%w: %s at the start of a stream", ErrFrame, f.class)
	}
	return append([]byte{}, f.piece...), err
}

// Read implements io.Reader for Options.ReceiveStream.
func (in *incoming) Read(b []byte) (int, error) {
	for len(in.rest) == 0 && in.err == nil && len(b) > 0 {
		if in.rest, in.err = in.data(); in.err != nil && in.err != io.EOF {
			in.broken(in.err)
		}
	}
	if len(in.rest) == 0 && len(b) > 0 {
		return 0, in.err
	}
	n := copy(b, in.rest)
	in.rest = in.rest[n:]
	return n, nil
}

// data returns the next piece of the stream, io.EOF after the last, or why it is not whole.
func (in *incoming) data() ([]byte, error) {
	f, err := in.next()
	switch {
	case err != nil:
		return nil, fmt.Errorf("stream broken: %w", err)
	case f.class == streamEnd && len(f.piece) == 0:
		return nil, io.EOF
	case f.class == streamEnd:
		return nil, fmt.Errorf("stream aborted: %w", refusedText(f.piece))
	case f.class != streamData && f.class != streamCompressed:
		return nil, fmt.Errorf("%w: %s in a stream", ErrFrame, f.class)
	}
	piece := f.piece
	if f.class == streamCompressed {
		if piece, err = in.plain.decompress(f.piece); err != nil {
			return nil, err
		}
	}
	in.received += uint64(len(f.piece))
	in.bytes += uint64(len(piece))
	in.session.peer.counts.streamReceived.Add(uint64(len(piece)))
	return piece, nil
}

// finish tells the sender the result, nil for success. Then what the sender still sends is read:
// to close a connection with bytes unread would take the result away.
func (in *incoming) finish(out *frameWriter, result error) {
	var text []byte
	if result != nil {
		text = textOf(result)
	}
	if out.write(streamResult, text) != nil {
		return
	}
	defer time.AfterFunc(in.session.peer.mesh.opts.Silence, func() { in.session.raw.Close() }).Stop()
	for {
		if _, err := in.frames.next(); err != nil {
			return
		}
	}
}
