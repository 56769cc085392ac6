package ws_test

import (
	"fmt"
	"strings"
	"testing"
)

// If events of several watches were mixed up, cut, or sent without a position to
// resume from, no client could keep a correct copy.
func TestSocketWatches(t *testing.T) {
	w := newWorld(t)
	w.write("a/1", "one")
	c := w.socket("?key=a/1")
	c.Want(`{"type":"reset","watch":0,"pos":"7f3a9c21-0"}`,
		`{"type":"put","key":"a/1","value":"one","rev":1,"create_rev":1,"version":1,"watch":0}`,
		`{"type":"synced","watch":0,"pos":"7f3a9c21-1"}`)
	c.Say(`{"id":3,"op":"watch","prefixes":["a/"],"keys":["b"],"state":false,"mode":"keys"}`)
	c.Want(`{"id":3,"ok":true}`, `{"type":"synced","watch":3,"pos":"7f3a9c21-1"}`)
	c.Say(`{"id":4,"op":"watch","prefixes":["a/"],"since":"7f3a9c21-1"}`)
	c.Want(`{"id":4,"ok":true}`, `{"type":"synced","watch":4,"pos":"7f3a9c21-1"}`)

	other := w.socket("")
	if got := other.Ask(`{"id":1,"op":"batch","ops":[{"op":"put","key":"a/1","value":"2"},{"op":"put","key":"a/2","value":"3"},{"op":"put","key":"b","value":"4"}]}`); got["ok"] != true {
		t.Fatal(got)
	}
	got := map[string][]string{}
	for range 6 {
		text := c.Text()
		id := text[strings.Index(text, `"watch":`):][:9]
		got[id] = append(got[id], text)
	}
	for id, want := range map[string][]string{
		`"watch":0`: {`{"type":"put","key":"a/1","value":"2","rev":2,"create_rev":1,"version":2,"watch":0,"pos":"7f3a9c21-2"}`},
		`"watch":3`: {`{"type":"put","key":"a/1","rev":2,"create_rev":1,"version":2,"watch":3,"more":true}`,
			`{"type":"put","key":"a/2","rev":2,"create_rev":2,"version":1,"watch":3,"more":true}`,
			`{"type":"put","key":"b","rev":2,"create_rev":2,"version":1,"watch":3,"pos":"7f3a9c21-2"}`},
		`"watch":4`: {`{"type":"put","key":"a/1","value":"2","rev":2,"create_rev":1,"version":2,"watch":4,"more":true}`,
			`{"type":"put","key":"a/2","value":"3","rev":2,"create_rev":2,"version":1,"watch":4,"pos":"7f3a9c21-2"}`},
	} {
		if a, b := strings.Join(got[id], "\n"), strings.Join(want, "\n"); a != b {
			t.Errorf("got\n%s\nwant\n%s", a, b)
		}
	}
	c.Refused("bad_parameter", 3, `{"id":3,"op":"watch","keys":["c"]}`)
	c.Say(`{"id":5,"op":"unwatch","watch":0}`)
	c.Want(`{"id":5,"ok":true}`)
	c.Refused("bad_parameter", 6, `{"id":6,"op":"unwatch","watch":0}`)
	c.Say(`{"id":7,"op":"delete","key":"a/1"}`)
	seen := map[string]bool{}
	for range 3 {
		f := c.Next()
		seen[fmt.Sprint(f["watch"], f["id"])] = true
	}
	if len(seen) != 3 || seen["0<nil>"] {
		t.Errorf("got events and answers for %v, want watches 3 and 4 and command 7", seen)
	}
}

// If watches of one socket did not resume each by its own position, a client
// that reconnects would miss something or get it twice.
func TestSocketResumesMany(t *testing.T) {
	const watches = 1000
	w := newWorld(t)
	for i := range watches {
		w.write(fmt.Sprintf("k/%04d", i), "0") // revision i+1
	}
	for i := range watches {
		w.write(fmt.Sprintf("k/%04d", i), "1") // revision watches+i+1
	}
	c := w.socket("")
	go func() {
		for i := range watches {
			// Half of them have seen the second value already.
			since := 1 + i
			if i%2 == 1 {
				since += watches
			}
			c.Say(`{"id":%d,"op":"watch","keys":["k/%04d"],"since":"7f3a9c21-%d"}`, i+1, i, since)
		}
	}()
	state := make([]string, watches)
	for synced := 0; synced < watches; {
		f := c.Next()
		if f["id"] != nil {
			if f["ok"] != true {
				t.Fatalf("got %v", f)
			}
			state[int(f["id"].(float64))-1] += "ok "
			continue
		}
		i := int(f["watch"].(float64)) - 1
		if state[i] += f["type"].(string) + " "; f["type"] == "synced" {
			synced++
		}
	}
	for i, got := range state {
		want := "ok put synced "
		if i%2 == 1 {
			want = "ok synced "
		}
		if got != want {
			t.Fatalf("watch %d: got %q, want %q", i+1, got, want)
		}
	}
	if got := w.hub.Stats().Watchers; got != watches {
		t.Errorf("got %d watchers, want %d", got, watches)
	}
	for i := range watches {
		w.write(fmt.Sprintf("k/%04d", i), "2")
	}
	got := map[float64]int{}
	for events := 0; events < watches; events++ {
		f := c.Next()
		if f["type"] == "progress" {
			events--
			continue
		}
		got[f["watch"].(float64)]++
		if f["version"] != float64(3) || f["pos"] == nil {
			t.Fatalf("got %v", f)
		}
	}
	if len(got) != watches {
		t.Errorf("got events for %d watches, want %d", len(got), watches)
	}
	c.Conn.CloseNow()
	w.eventually("all watches are closed", func() bool { return w.hub.Stats().Watchers == 0 })
}

// If this failed, the client of a server that leaves a cluster would not be told which servers to use instead. One that is
// alone says nothing but the code.
func TestByeNamesOtherServers(t *testing.T) {
	for _, others := range [][]string{nil, {"http://b:1", "http://c:1"}} {
		w := newWorld(t)
		w.others = others
		c := w.socket("")
		c.Ask(`{"id":1,"op":"ping"}`)
		stopped := make(chan error)
		go func() { stopped <- w.server.Close(t.Context()) }()
		if others != nil {
			bye := c.Next()
			named, _ := bye["endpoints"].([]any)
			if bye["type"] != "bye" || bye["code"] != "stopping" || len(named) != 2 || named[0] == named[1] {
				t.Errorf("got %v, want a bye that names both", bye)
			}
		}
		c.WantClose(1012)
		if err := <-stopped; err != nil {
			t.Error(err)
		}
	}
}
