package resp_test

import (
	"strings"
	"testing"
)

// Clients and proxies ask INFO whether the server has loaded its data, and wait for ever if it does not
// say so; load generators ask CONFIG GET, and warn of what they did not get.
func TestReadyChecks(t *testing.T) {
	c := newWorld(t).dial()
	for _, say := range []string{"INFO", "INFO persistence", "INFO all", "INFO everything", "INFO default", "INFO server persistence"} {
		if got := c.say(say); !strings.Contains(got, `\r\nloading:0\r\n`) {
			t.Errorf("%s: got %s, want loading:0", say, got)
		}
	}
	for _, say := range []string{"INFO", "INFO server"} {
		if got := c.say(say); !strings.Contains(got, `\r\nredis_version:7.4.0\r\n`) {
			t.Errorf("%s: got %s, want the version", say, got)
		}
	}
	if got := c.say("INFO replication"); !strings.Contains(got, `role:master`) {
		t.Errorf("got %s, want role:master", got)
	}
	script(t, c, `
		CONFIG GET save => ["save" ""]
		CONFIG GET appendonly => ["appendonly" "yes"]
		CONFIG GET save appendonly => ["save" "" "appendonly" "yes"]
		CONFIG GET none => []
	`)
}
