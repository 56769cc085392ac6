package resp_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// A key that ends before its time is a lock that two hold. TTL is rounded, and what is rounded must
// not be what ends it.
func TestKeysNeverEndEarly(t *testing.T) {
	w := newWorld(t)
	born := int64(100_000)
	for _, set := range []string{"SET k v PX 1500", "PSETEX k 1500 v", "MSETEX 1 k v PX 1500", "SET k v\nPEXPIRE k 1500", "SET k v\nGETEX k PX 1500"} {
		w.log.stands.Store(born)
		c := w.dial()
		c.words("DEL", "k")
		for line := range strings.Lines(set) {
			c.say(line)
		}
		for _, step := range []struct {
			after          int64
			ttl, ms, value string
		}{
			{0, "2", "1500", `"v"`}, {1, "1", "1499", `"v"`}, {1000, "1", "500", `"v"`}, {1001, "0", "499", `"v"`},
			{1499, "0", "1", `"v"`}, {1500, "0", "1", `"v"`}, {1501, "-2", "-2", "nil"},
		} {
			w.log.stands.Store(born + step.after)
			at := fmt.Sprintf("%q, after %d ms: ", set, step.after)
			for say, want := range map[string]string{"TTL k": step.ttl, "PTTL k": step.ms, "GET k": step.value} {
				if got := c.say(say); got != want {
					t.Errorf("%s%s: got %s, want %s", at, say, got, want)
				}
			}
		}
		born += 10_000
	}
}

// A client that stores when a key ends, and sets it again, must not move it.
func TestTimesOfDayAreGivenBack(t *testing.T) {
	c := newWorld(t).dial()
	ms := time.Now().UnixMilli() + 100_123
	whole := ms / 1000 * 1000
	for say, at := range map[string]int64{
		fmt.Sprintf("SET a v PXAT %d", ms): ms, fmt.Sprintf("SET a v EXAT %d", ms/1000): whole,
		fmt.Sprintf("PEXPIREAT a %d", ms): ms, fmt.Sprintf("EXPIREAT a %d", ms/1000): whole,
		fmt.Sprintf("GETEX a PXAT %d", ms): ms, fmt.Sprintf("MSETEX 1 a v EXAT %d", ms/1000): whole,
		fmt.Sprintf("PEXPIREAT a %d", whole+499): whole + 499, fmt.Sprintf("PEXPIREAT a %d", whole+500): whole + 500,
	} {
		c.want("SET a v", "+OK")
		c.say(say)
		c.want("PEXPIRETIME a", fmt.Sprint(at))
		c.want("EXPIRETIME a", fmt.Sprint((at+500)/1000)) // rounded, as Redis does
	}
}

// What is beyond the numbers must be refused with the words of Redis, or end the key, and never
// stand for another time.
func TestEdgesOfTimes(t *testing.T) {
	const (
		far, wide = "9223372036854775807", "9223372036854776"
		overflow  = "-ERR value is not an integer or out of range"
	)
	invalid := func(name string) string { return "-ERR invalid expire time in '" + name + "' command" }
	c := newWorld(t).dial()
	for _, step := range []struct{ say, want string }{
		{"EXPIRE k " + far, invalid("expire")}, {"EXPIRE k " + wide, invalid("expire")}, {"PEXPIRE k " + far, invalid("pexpire")},
		{"EXPIREAT k " + far, invalid("expireat")}, {"EXPIREAT k " + wide, invalid("expireat")}, {"EXPIRE k -" + wide, invalid("expire")},
		{"SET k v EX " + far, invalid("set")}, {"SET k v PX " + far, invalid("set")}, {"SET k v EX 0", invalid("set")}, {"SET k v PX -1", invalid("set")},
		{"SET k v EXAT " + far, invalid("set")}, {"SET k v EXAT 0", invalid("set")}, {"SET k v PXAT -1", invalid("set")},
		{"SETEX k 0 v", invalid("setex")}, {"SETEX k -1 v", invalid("setex")}, {"SETEX k " + far + " v", invalid("setex")},
		{"PSETEX k 0 v", invalid("psetex")}, {"PSETEX k " + far + " v", invalid("psetex")},
		{"GETEX k EX 0", invalid("getex")}, {"GETEX k EX " + far, invalid("getex")}, {"GETEX k PXAT 0", invalid("getex")},
		{"MSETEX 1 k v EX 0", invalid("msetex")}, {"MSETEX 1 k v PX " + far, invalid("msetex")},
		{"EXPIRE k 9223372036854775808", overflow}, {"PEXPIREAT k 1.5", overflow}, {"SET k v PX 1x", overflow}, {"SETEX k x v", overflow},
	} {
		c.want("SET k kept", "+OK")
		c.want(step.say, step.want)
		c.want("GET k", `"kept"`)
		c.want("TTL k", "-1")
	}
	for say, want := range map[string]string{
		"EXPIRE k 0": "1", "EXPIRE k -1": "1", "PEXPIRE k -" + far: "1", "EXPIREAT k 0": "1", "EXPIREAT k 1": "1", "PEXPIREAT k -5": "1",
		"SET k v EXAT 1": "+OK", "SET k v PXAT 1": "+OK", "GETEX k EXAT 1": `"kept"`,
	} {
		c.want("SET k kept", "+OK")
		c.want(say, want)
		if got := c.say("EXISTS k"); got != "0" {
			t.Errorf("after %s the key is still there", say)
		}
	}
}
