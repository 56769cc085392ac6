package ws

import (
	"crypto/sha256"
	"encoding/binary"
	"time"

	"keywatch/kv"
	"keywatch/watch"
	"keywatch/web/api"
)

// maxID is the largest id of a command: the largest whole number that
// JavaScript keeps.
const maxID = 1<<53 - 1

// The fields of a command, and their bits.
var commandFields = [...]string{
	"id", "op", "watch", "keys", "prefixes", "since", "state", "mode", "interval",
	"key", "value", "encoding", "ttl", "lease", "expected", "new",
	"checks", "ops", "else", "prefix", "limit", "cursor", "consistency",
	"if_match", "if_absent", "fence", "idempotency_key",
	"lock", "owner", "wait", "token", "force", "by",
}

const (
	hasID api.FieldSet = 1 << iota
	hasOp
	hasWatch
	hasKeys
	hasPrefixes
	hasSince
	hasState
	hasMode
	hasInterval
	hasKey
	hasValue
	hasEncoding
	hasTTL
	hasLease
	hasExpected
	hasNew
	hasChecks
	hasOps
	hasElse
	hasPrefix
	hasLimit
	hasCursor
	hasConsistency
	hasIfMatch
	hasIfAbsent
	hasFence
	hasIdemKey
	hasLock
	hasOwner
	hasWait
	hasToken
	hasForce
	hasBy
)

const (
	// conditions are the fields that a command must not pass over.
	conditions = hasIfMatch | hasIfAbsent | hasFence | hasIdemKey
	// anyWrite are the fields that any write takes.
	anyWrite = hasFence | hasIdemKey
)

// A command is a command as it was written. Its texts share memory with
// the frame.
type command struct {
	id   uint64
	op   *op
	seen api.FieldSet
	// unknownOp is what was written where op is nil.
	unknownOp string
	// spans are where the fields' values stand in text.
	text  []byte
	spans [len(commandFields)][2]int32

	watch uint64
	sub   api.Watch
	key   string
	// value, coding and ttl are those of a put, cas those of a compare-and-swap.
	value, coding, lease api.Text
	ttl                  time.Duration
	ttlText              string
	by                   int64
	cas                  api.CAS
	// cmd collects checks, operations and fences.
	cmd    kv.Command
	list   api.List
	cursor string
	// keysFlag says that keys is true or false, not an array.
	keysFlag bool
	ifMatch  string
	idemKey  string
	// lock is what a command about a lock says beside its ttl.
	lock lockCommand
	// secret is the credential of auth.
	secret string
}

// outlives reports whether the command is to run even if its client has left: it
// changes something that others may see, or that the client may ask for again. Anything
// else is of no use then.
func (c *command) outlives() bool {
	switch c.op.name {
	case "batch":
		return !c.cmd.ReadOnly()
	case "lease", "lock", "bind":
		return c.has(hasIdemKey)
	}
	return c.op.may.Has(anyWrite)
}

func (c *command) has(bits api.FieldSet) bool { return c.seen&bits != 0 }

// parseCommand reads a command. limit bounds the operations of a batch. After an
// error id is set if it came before what is wrong.
func parseCommand(text []byte, limit int) (c *command, err error) {
	c = &command{text: text}
	c.list.Limit = api.PageDefault
	s := api.NewScanner(text)
	s.Open('{')
	for n := 0; s.More('}', n); n++ {
		i := s.Field(commandFields[:], &c.seen)
		s.Peek()
		start := s.Offset()
		if i >= 0 {
			c.read(&s, 1<<i, limit)
			c.spans[i] = [2]int32{int32(start), int32(s.Offset())}
		}
	}
	if err := s.End(); err != nil {
		return c, err
	}
	return c, c.check(limit)
}

// read reads the value of one field.
func (c *command) read(s *api.Scanner, field api.FieldSet, limit int) {
	switch field {
	case hasID:
		c.readID(s)
	case hasOp:
		c.readOp(s)
	case hasWatch:
		c.watch = s.Uint()
	case hasIfMatch:
		c.ifMatch = s.Text().String()
	case hasIfAbsent:
		if !s.Bool() && s.Err() == nil {
			s.FailWith(api.Refuse(api.CodeBadCondition, "if_absent must be true or absent"))
		}
	case hasFence:
		c.readFences(s)
	case hasIdemKey:
		c.idemKey = s.Text().String()
	case hasLock, hasOwner, hasWait, hasToken, hasForce:
		c.readLock(s, field)
	case hasKeys, hasPrefixes, hasSince, hasState, hasMode, hasInterval:
		c.readWatch(s, field)
	case hasPrefix, hasLimit, hasCursor, hasConsistency:
		c.readList(s, field)
	default:
		c.readWrite(s, field, limit)
	}
}

func (c *command) readID(s *api.Scanner) {
	id := s.Uint()
	if s.Err() == nil && (id == 0 || id > maxID) {
		s.Fail("id: expected a number from 1 to 2^53-1")
	}
	if s.Err() == nil {
		c.id = id
	}
}

func (c *command) readOp(s *api.Scanner) {
	name := s.Text().Decode(nil)
	if s.Err() != nil {
		return
	}
	for i := range ops {
		if string(name) == ops[i].name {
			c.op = &ops[i]
			return
		}
	}
	c.unknownOp = string(name)
}

// readWatch reads a field of a watch; a list has one called keys too, which says
// that values are not wanted.
func (c *command) readWatch(s *api.Scanner, field api.FieldSet) {
	sub := &c.sub
	switch field {
	case hasKeys:
		if s.Peek() == '[' {
			sub.Request.Keys = s.Texts(watch.MaxNames)
		} else {
			c.list.KeysOnly, c.keysFlag = s.Bool(), true
		}
	case hasPrefixes:
		sub.Request.Prefixes = s.Texts(watch.MaxNames)
	case hasSince:
		sub.Request.Since, sub.HasSince = s.Text().String(), true
	case hasState:
		sub.State, sub.HasState = s.Bool(), true
	case hasMode:
		s.FailWith(sub.SetMode(s.Text().String()))
	case hasInterval:
		s.FailWith(sub.SetInterval(s.Duration()))
	}
}

func (c *command) readList(s *api.Scanner, field api.FieldSet) {
	switch field {
	case hasPrefix:
		c.list.Prefix = s.Text().String()
	case hasLimit:
		n := s.Uint()
		if s.Err() == nil && (n < 1 || n > api.PageMax) {
			s.FailWith(api.Refuse(api.CodeBadParameter, "limit: expected a number from 1 to %d", api.PageMax))
		}
		c.list.Limit = int(n)
	case hasCursor:
		c.cursor = s.Text().String()
	case hasConsistency:
		text := s.Text().String()
		if c.list.Local = text == api.Local; s.Err() == nil && !c.list.Local && text != api.Linearizable {
			s.FailWith(api.Refuse(api.CodeBadParameter, "consistency: expected linearizable or local, got %.80q", text))
		}
	}
}

func (c *command) readWrite(s *api.Scanner, field api.FieldSet, limit int) {
	switch field {
	case hasKey:
		c.key = s.Text().String()
	case hasValue:
		c.value = s.Text()
	case hasEncoding:
		c.coding = s.Text()
	case hasTTL:
		c.readTTL(s)
	case hasBy:
		c.by = s.Int()
	case hasLease:
		c.lease = s.Text()
	case hasExpected:
		c.cas.Expected, c.cas.Absent = s.TextOrNull()
	case hasNew:
		c.cas.New, c.cas.Remove = s.TextOrNull()
	case hasChecks:
		s.Checks(limit, &c.cmd)
	case hasOps:
		c.cmd.Ops = s.Ops(limit)
	case hasElse:
		c.cmd.HasElse = true
		c.cmd.Else = s.Ops(limit)
	}
}

// readTTL reads a TTL, which is none for a touch only: check knows whether it is one.
func (c *command) readTTL(s *api.Scanner) {
	if c.ttlText = s.Duration(); s.Err() != nil || c.ttlText == "none" {
		return
	}
	var err error
	c.ttl, err = api.ParseTTL(c.ttlText)
	s.FailWith(err)
}

// readFences reads an object of locks and their tokens.
func (c *command) readFences(s *api.Scanner) {
	s.Open('{')
	for n := 0; s.More('}', n); n++ {
		lock := s.Text().String()
		s.Colon()
		token := s.Uint()
		if s.Err() != nil {
			return
		}
		for _, f := range c.cmd.Fences {
			if f.Lock == lock {
				s.Fail("a lock is repeated")
				return
			}
		}
		if !kv.LockName(lock) || token == 0 || len(c.cmd.Fences) >= 64 {
			s.FailWith(api.Refuse(api.CodeBadCondition, "fence: expected at most 64 lock names, each with its token"))
			return
		}
		c.cmd.Fences = append(c.cmd.Fences, kv.Fence{Lock: lock, Token: kv.Rev(token)})
	}
}

// check checks that the command has what its operation takes, and nothing else.
func (c *command) check(limit int) error {
	switch {
	case c.id == 0:
		return api.Refuse(api.CodeBadJSON, `field "id" is required`)
	case !c.has(hasOp):
		return api.Refuse(api.CodeBadJSON, `field "op" is required`)
	case c.op == nil:
		return unknownOp(c.unknownOp)
	}
	if c.has(hasToken) && (c.op.name == "auth") != (c.secret != "") {
		return api.Refuse(api.CodeBadJSON, "token: expected %s", map[bool]string{true: "a text", false: "a number from 1 on"}[c.op.name == "auth"])
	}
	if missing := c.op.need &^ c.seen; missing != 0 {
		return api.Refuse(api.CodeBadJSON, "%s requires field %q", c.op.name, fieldOfBit(missing))
	}
	if extra := c.seen &^ (c.op.need | c.op.may | hasID | hasOp); extra != 0 {
		code := api.CodeBadJSON
		if extra&conditions != 0 {
			code, extra = api.CodeBadCondition, extra&conditions
		}
		return api.Refuse(code, "%s does not support field %q", c.op.name, fieldOfBit(extra))
	}
	if c.ttlText == "none" && c.op.name != "touch" {
		_, err := api.ParseTTL(c.ttlText)
		return err
	}
	if n := len(c.cmd.Ops) + len(c.cmd.Else); n > limit {
		return api.TooManyOps(limit)
	}
	return nil
}

func unknownOp(name string) error {
	return api.Refuse(api.CodeBadJSON, "unknown op %.80q%s", name, api.DidYouMean(name, opNames))
}

// fieldOfBit returns the name of the first field in a set.
func fieldOfBit(bits api.FieldSet) string {
	for i, name := range commandFields {
		if bits&(1<<i) != 0 {
			return name
		}
	}
	return ""
}

// fingerprint identifies what is asked, whatever the id and the order of fields.
func (c *command) fingerprint() (sum [16]byte) {
	h := sha256.New()
	var size [8]byte
	for i := range commandFields {
		if bit := api.FieldSet(1) << i; c.seen&bit == 0 || bit&(hasID|hasIdemKey) != 0 {
			continue
		}
		value := c.text[c.spans[i][0]:c.spans[i][1]]
		binary.LittleEndian.PutUint32(size[:], uint32(i))
		binary.LittleEndian.PutUint32(size[4:], uint32(len(value)))
		h.Write(size[:])
		h.Write(value)
	}
	copy(sum[:], h.Sum(nil))
	return sum
}
