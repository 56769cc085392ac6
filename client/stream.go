package client

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"unicode/utf8"
)

// stream reads the lines of one watch connection.
type stream struct {
	body io.ReadCloser
	in   *bufio.Reader
	long []byte // a line that does not fit the buffer
}

// open asks the present endpoint for the watch. The stream must be closed.
func (w *watcher) open(ctx context.Context) (*stream, error) {
	r, err := w.request()
	if err != nil {
		return nil, err
	}
	resp, err := w.c.send(ctx, w.at, r)
	if err != nil {
		return nil, err
	}
	w.token = w.c.tokens.last()
	if media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); media != "application/x-ndjson" {
		resp.Body.Close()
		return nil, fmt.Errorf("%w: expected application/x-ndjson, got %q", ErrNotKeywatch, media)
	}
	return &stream{body: resp.Body, in: bufio.NewReaderSize(resp.Body, 64<<10)}, nil
}

// request returns the request for what is still to be told. It is a POST
// because keys can be many.
func (w *watcher) request() (*Request, error) {
	doc := struct {
		Keys     []string `json:"keys,omitempty"`
		Prefixes []string `json:"prefixes,omitempty"`
		Since    Position `json:"since,omitempty"`
		State    *bool    `json:"state,omitempty"`
		Mode     Mode     `json:"mode,omitempty"`
		Interval string   `json:"interval,omitempty"`
	}{Keys: w.opts.Keys, Prefixes: w.opts.Prefixes, Since: w.pos, Mode: w.opts.Mode}
	for _, list := range [][]string{doc.Keys, doc.Prefixes} {
		for _, key := range list {
			if !utf8.ValidString(key) {
				return nil, &Error{Status: http.StatusBadRequest, Code: "bad_key", Detail: errNotUTF8.Error(), Index: -1}
			}
		}
	}
	if w.opts.Live && w.pos == "" {
		doc.State = new(bool)
	}
	if w.opts.Interval > 0 {
		doc.Interval = durationText(w.opts.Interval)
	}
	body, err := json.Marshal(doc)
	return &Request{
		Method: http.MethodPost, Path: "/v1/watch", Body: body, Repeatable: true,
		Header: http.Header{"Accept": {"application/x-ndjson"}, "Content-Type": {"application/json"}},
	}, err
}

// line returns the next line that is not empty, valid until the next call. The
// end of the stream is an error, and so is a line that is cut off.
func (s *stream) line() ([]byte, error) {
	for {
		line, err := s.read()
		if err == io.EOF {
			err = errors.New("it ended")
		}
		if err != nil {
			return nil, err
		}
		if line = bytes.TrimSpace(line); len(line) > 0 {
			return line, nil
		}
	}
}

func (s *stream) read() ([]byte, error) {
	line, err := s.in.ReadSlice('\n')
	if err != bufio.ErrBufferFull {
		return line, err
	}
	s.long = append(s.long[:0], line...)
	for err == bufio.ErrBufferFull {
		line, err = s.in.ReadSlice('\n')
		s.long = append(s.long, line...)
	}
	return s.long, err
}

// Close ends the connection.
func (s *stream) Close() { s.body.Close() }
