package main

import (
	"bufio"
	"io"
	"strconv"
	"strings"
	"time"
)

// sseReader reads Server-Sent Events, as the HTML standard defines them.
type sseReader struct {
	in *bufio.Reader
	// touched is called whenever a line has come, heartbeats included.
	touched func()
}

func newSSEReader(in io.Reader, touched func()) *sseReader {
	return &sseReader{in: bufio.NewReaderSize(in, 64<<10), touched: touched}
}

// sseEvent is one event, or a change of the retry delay alone.
type sseEvent struct {
	data  string
	id    string
	hasID bool
	// retry is the delay before coming back, 0 if it was not named.
	retry time.Duration
}

// next returns the next event that carries data, an id or a retry delay. An
// event that is cut off is not returned.
func (r *sseReader) next() (sseEvent, error) {
	var e sseEvent
	var data []string
	for {
		line, err := r.in.ReadString('\n')
		if err != nil {
			if err == io.EOF && line != "" {
				err = io.ErrUnexpectedEOF
			}
			return sseEvent{}, err
		}
		r.touched()
		line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
		if line == "" {
			if e.data = strings.Join(data, "\n"); e != (sseEvent{}) {
				return e, nil
			}
			continue
		}
		if field, value := cutField(line); field == "data" {
			data = append(data, value)
		} else {
			e.set(field, value)
		}
	}
}

// cutField splits "data: x"; a comment has an empty field.
func cutField(line string) (field, value string) {
	field, value, _ = strings.Cut(line, ":")
	return field, strings.TrimPrefix(value, " ")
}

func (e *sseEvent) set(field, value string) {
	switch field {
	case "id":
		if !strings.ContainsRune(value, 0) {
			e.id, e.hasID = value, true
		}
	case "retry":
		if ms, err := strconv.ParseUint(value, 10, 31); err == nil {
			e.retry = max(time.Duration(ms)*time.Millisecond, 1)
		}
	}
}

// buffered reports whether more can be read without waiting.
func (r *sseReader) buffered() bool { return r.in.Buffered() > 0 }
