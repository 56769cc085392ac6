package watch

import "keywatch/kv/kvjson"

// AppendFor appends m as a JSON object to b, for a socket that many watches
// share: id names the one that m is for. On a change more says that others of
// the same revision, or flush, follow; the last has the position instead. A body
// that other watchers need too is encoded once and shared.
func (m *Message) AppendFor(b []byte, id uint64) []byte {
	b = m.appendOpen(b)
	b = kvjson.AppendNumber(append(b, ','), "watch", id)
	switch {
	case m.HasAt:
		b = append(b, `,"pos":"`...)
		b = append(m.At.AppendTo(b), '"')
	case m.rec != nil:
		b = append(b, `,"more":true`...)
	}
	return append(b, '}')
}

// AppendProgress appends the object of a Progress that is for all watches of a
// socket.
func AppendProgress(b []byte, m *Message) []byte {
	b = m.appendOpen(b)
	b = append(b, `,"pos":"`...)
	return append(m.At.AppendTo(b), `"}`...)
}
