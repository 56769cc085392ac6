package resp

import (
	"math"
	"strings"

	"keywatch/kv"
)

// expireWhen reads the options of EXPIRE.
func (c *call) expireWhen() (when kv.TouchWhen, err error) {
	for _, arg := range c.args[3:] {
		switch upper(arg) {
		case "NX":
			when |= kv.TouchNone
		case "XX":
			when |= kv.TouchSome
		case "GT":
			when |= kv.TouchLater
		case "LT":
			when |= kv.TouchSooner
		default:
			return 0, refusef("ERR Unsupported option %.128s", arg)
		}
	}
	switch {
	case when&kv.TouchNone != 0 && when != kv.TouchNone:
		return 0, refusal("ERR NX and XX, GT or LT options at the same time are not compatible")
	case when&kv.TouchLater != 0 && when&kv.TouchSooner != 0:
		return 0, refusal("ERR GT and LT options at the same time are not compatible")
	}
	return when, nil
}

func compileExpire(c *call) (p plan, err error) {
	key, err := c.key(1)
	if err != nil {
		return p, err
	}
	n, err := c.integer(2)
	if err != nil {
		return p, err
	}
	when, err := c.expireWhen()
	if err != nil {
		return p, err
	}
	absolute, bad := strings.HasSuffix(c.cmd.name, "at"), refusef("ERR invalid expire time in '%s' command", c.cmd.name)
	if c.cmd.name[0] != 'p' {
		if n > math.MaxInt64/1000 || n < math.MinInt64/1000 {
			return p, bad
		}
		n *= 1000
	}
	if !absolute && n > math.MaxInt64-c.logTime()-c.distance() {
		return p, bad
	}
	end := c.ending(n, absolute)
	if end.past {
		return c.endNow(key, n, absolute, when)
	}
	op, err := c.touch(key, end, when)
	return plan{ops: c.list(op), render: renderFound}, err
}

// endNow returns the plan for an ending that has been: the key is deleted, if the conditions
// hold.
func (c *call) endNow(key string, n int64, absolute bool, when kv.TouchWhen) (plan, error) {
	p := plan{ops: []kv.Op{del(key)}, render: renderFound}
	if when == 0 {
		return p, nil
	}
	old, err := c.get(key)
	switch {
	case err != nil:
		return p, err
	case !old.there, when&kv.TouchNone != 0 && old.deadline != 0, when&kv.TouchSome != 0 && old.deadline == 0, when&kv.TouchLater != 0:
		return text(textZero), nil
	}
	return p, nil
}

func compilePersist(c *call) (p plan, err error) {
	key, err := c.key(1)
	if err != nil {
		return p, err
	}
	op, err := c.touch(key, ending{given: true}, kv.TouchSome)
	return plan{ops: c.list(op), render: renderFound}, err
}
