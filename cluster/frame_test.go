package cluster

import (
	"reflect"
	"testing"

	"keywatch/kv"
)

// FuzzFrame: what another server sends, broken or of a later release, must be refused, or be something that every server can
// apply. Else an entry would end each process that has it in its log, at every start (Nomad 26425, Consul 2889).
func FuzzFrame(f *testing.F) {
	var b kv.EntryBuilder
	b.Add(&kv.Command{
		Checks: []kv.Check{{Kind: kv.CheckExists, Key: "a", N: 1}},
		Ops:    []kv.Op{{Kind: kv.OpPut, Key: "a", Value: []byte("v"), TTL: 1000}, {Kind: kv.OpDelete, Key: "b"}},
	})
	f.Add((&commandsFrame{1, kv.Group{Origin: 2, Seq: 3, Commands: 1, Form: b.Form()}, 2, b.Commands()}).encode())
	f.Add((&answerFrame{1, 2, 3, 1}).encode())
	f.Add((&beatFrame{1, 2, 3, 4}).encode())
	f.Add((&reportFrame{Applied: 7}).encode())
	f.Add(removedFrame{}.encode())
	f.Add([]byte{frameRaft})
	f.Fuzz(func(t *testing.T, data []byte) {
		frame, err := decodeFrame(data)
		c, ok := frame.(*commandsFrame)
		if err != nil || !ok {
			return
		}
		if c.group.Form, err = kv.CheckCommands(c.body, c.group.Commands, kv.Limits{}); err != nil {
			return
		}
		entry := kv.AppendGrouped(nil, 0, []kv.Group{c.group}, [][]byte{c.body})
		if _, err := kv.NewState(kv.StateOptions{Presize: 1}).Apply(1, 1, entry); err != nil {
			t.Errorf("%d commands that are accepted cannot be applied: %v", c.group.Commands, err)
		}
	})
}

// A later release may append to what servers tell each other: if this one did not read the rest, the two would not be one
// cluster while it is upgraded.
func TestFramesMayBecomeLonger(t *testing.T) {
	beat, answer := &beatFrame{1, 2, 3, 4}, &answerFrame{1, 2, 3, 1}
	for name, c := range map[string]struct {
		frame []byte
		want  any
	}{
		"beat":   {append(beat.encode(), 9, 9), beat},
		"answer": {append(answer.encode(), 9, 9), answer},
		"report": {append([]byte{frameReport}, `{"Applied":7,"later":[1]}`...), &reportFrame{Applied: 7}},
		"gone":   {append(removedFrame{}.encode(), 9), removedFrame{}},
	} {
		if got, err := decodeFrame(c.frame); err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got %+v, %v, want %+v", name, got, err, c.want)
		}
	}
}
