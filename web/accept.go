package web

import (
	"bytes"
	"strconv"
	"strings"

	"keywatch/web/api"
)

// acceptable returns the quality that an Accept header gives to each of the
// media types offered, 1 for all without a header. The most specific range
// that matches a type counts. It reports false for a header that it cannot
// read.
func acceptable(header []byte, offers []string, qualities []float64) bool {
	var specific [8]int
	for i := range offers {
		qualities[i], specific[i] = 0, -1
	}
	for len(bytes.TrimSpace(header)) > 0 {
		var part []byte
		part, header, _ = bytes.Cut(header, []byte{','})
		media, q, ok := mediaRange(part)
		if !ok {
			return false
		}
		for i, offer := range offers {
			if s := matchMedia(media, offer); s > specific[i] {
				qualities[i], specific[i] = q, s
			}
		}
	}
	return true
}

// mediaRange reads one element of an Accept header. Parameters other than q are
// passed over, an empty element is nothing.
func mediaRange(part []byte) (media []byte, q float64, ok bool) {
	media, rest, _ := bytes.Cut(part, []byte{';'})
	media, q = bytes.TrimSpace(media), 1
	for len(rest) > 0 {
		var p []byte
		p, rest, _ = bytes.Cut(rest, []byte{';'})
		name, value, _ := bytes.Cut(bytes.TrimSpace(p), []byte{'='})
		if !bytes.EqualFold(bytes.TrimSpace(name), []byte("q")) {
			continue
		}
		var err error
		q, err = strconv.ParseFloat(string(bytes.TrimSpace(value)), 64)
		if err != nil || !(q >= 0 && q <= 1) {
			return nil, 0, false
		}
	}
	return media, q, len(media) == 0 || bytes.IndexByte(media, '/') > 0
}

// matchMedia returns how closely a media range names a type: 2 exactly, 1 by
// its first half, 0 by */*, -1 not at all.
func matchMedia(media []byte, offer string) int {
	if len(media) == 3 && string(media) == "*/*" {
		return 0
	}
	if bytes.EqualFold(media, lend(offer)) {
		return 2
	}
	half, ok := bytes.CutSuffix(media, []byte("/*"))
	if ok && len(offer) > len(half) && offer[len(half)] == '/' && bytes.EqualFold(half, lend(offer[:len(half)])) {
		return 1
	}
	return -1
}

// negotiate returns the index of the offer that the request prefers; the first
// wins ties. It fails if none is acceptable.
func (r *request) negotiate(offers ...string) (int, error) {
	accept := r.head.get(fieldAccept)
	if len(accept) == 0 || string(accept) == "*/*" {
		return 0, nil
	}
	var buf [8]float64
	qualities := buf[:len(offers)]
	if !acceptable(accept, offers, qualities) {
		return 0, api.Refuse(api.CodeBadParameter, "the Accept header is malformed")
	}
	best := 0
	for i, q := range qualities {
		if q > qualities[best] {
			best = i
		}
	}
	if qualities[best] == 0 {
		return 0, api.Refuse(api.CodeNotAcceptable, "no media type of the Accept header is available: expected one of %s", strings.Join(offers, ", "))
	}
	return best, nil
}

// acceptsCoding reports whether an Accept-Encoding header accepts a content coding.
// Without a header, or where it cannot be read, it does not.
func acceptsCoding(header []byte, coding string) bool {
	all := false
	for part := range bytes.SplitSeq(header, []byte{','}) {
		name, weight, _ := bytes.Cut(part, []byte{';'})
		switch name = bytes.TrimSpace(name); {
		case bytes.EqualFold(name, lend(coding)):
			return !refuses(weight)
		case string(name) == "*":
			all = !refuses(weight)
		}
	}
	return all
}

// refuses reports whether a weight, such as q=0.5, is zero or makes no sense.
func refuses(weight []byte) bool {
	if weight = bytes.TrimSpace(weight); len(weight) == 0 {
		return false
	}
	name, value, _ := bytes.Cut(weight, []byte{'='})
	q, err := strconv.ParseFloat(borrow(value), 64)
	return !bytes.EqualFold(name, []byte("q")) || err != nil || !(q > 0 && q <= 1)
}

// eventSourceOnly reports whether the client can only be an EventSource: Accept is
// exactly its type.
func (r *request) eventSourceOnly() bool {
	return string(r.head.get(fieldAccept)) == mediaSSE
}

// The media types offered.
const (
	mediaBytes  = "application/octet-stream"
	mediaJSON   = "application/json"
	mediaNDJSON = "application/x-ndjson"
	mediaSSE    = "text/event-stream"
)
