package resp_test

import (
	"strings"
	"testing"
)

// What monitoring reads must be what is, not a number that is always the same.
func TestInfoCounts(t *testing.T) {
	w := newWorld(t)
	c, sub := w.dial(), w.dial()
	has := func(lines ...string) {
		t.Helper()
		text := strings.ReplaceAll(c.say("INFO everything"), `\r\n`, "\n")
		for _, line := range lines {
			if !strings.Contains(text, "\n"+line+"\n") {
				t.Errorf("INFO has no line %q in %s", line, text)
			}
		}
	}
	has("watching_clients:0", "total_watched_keys:0", "pubsub_channels:0", "pubsub_patterns:0", "pubsub_clients:0")
	c.want("WATCH a b", "+OK")
	c.want("WATCH c", "+OK")
	sub.want("SUBSCRIBE x", `["subscribe" "x" 1]`)
	sub.want("PSUBSCRIBE y*", `["psubscribe" "y*" 2]`)
	has("watching_clients:1", "total_watched_keys:3", "pubsub_channels:1", "pubsub_patterns:1", "pubsub_clients:1")
	for _, ends := range [][]string{{"UNWATCH"}, {"WATCH a", "RESET"}, {"WATCH a", "MULTI", "DISCARD"}, {"WATCH a", "MULTI", "EXEC"}} {
		for _, line := range ends {
			c.say(line)
		}
		has("watching_clients:0", "total_watched_keys:0")
	}
	if text := c.say("INFO cpu"); strings.Contains(text, "used_cpu_user:0.000000") {
		t.Errorf("got %s", text)
	}
}
