package web

import (
	"crypto/sha256"
	"encoding/binary"
	"time"

	"keywatch/kv"
)

// maxID is the largest id of a command: the largest whole number that
// JavaScript keeps.
const maxID = 1<<53 - 1

// The fields of a command, and their bits.
var commandFields = []string{
	"id", "op", "watch", "keys", "prefixes", "since", "state", "mode", "interval",
	"key", "value", "encoding", "ttl", "lease", "expected", "new",
	"checks", "ops", "else", "prefix", "limit", "cursor", "consistency",
	"if_match", "if_absent", "fence", "idempotency_key",
	"lock", "owner", "wait", "token", "force",
}

const (
	hasID = 1 << iota
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
)

const (
	// conditions are the fields that a command must not pass over.
	conditions = hasIfMatch | hasIfAbsent | hasFence | hasIdemKey
	// anyWrite are the fields that any write takes.
	anyWrite = hasFence | hasIdemKey
)

// A socketCommand is a command as it was written. Its texts share memory with
// the frame.
type socketCommand struct {
	id   uint64
	op   *socketOp
	seen uint32
	// spans are where the fields' values stand in text.
	text  []byte
	spans [32][2]int32

	watch uint64
	sub   subscription
	key   string
	// value, coding and ttl are those of a put, cas those of a compare-and-swap.
	value, coding, lease text
	ttl                  time.Duration
	cas                  casDocument
	// cmd collects checks, operations and fences.
	cmd    kv.Command
	list   listOptions
	cursor string
	// keysFlag says that keys is true or false, not an array.
	keysFlag bool
	ifMatch  string
	idemKey  string
	// lock is what a command about a lock says beside its ttl.
	lock lockCommand
}

func (c *socketCommand) has(bits uint32) bool { return c.seen&bits != 0 }

// parseCommand reads a command. limit bounds the operations of a batch. After an
// error id is set if it came before what is wrong.
func parseCommand(text []byte, limit int) (c *socketCommand, err error) {
	c = &socketCommand{text: text}
	c.list.limit = pageDefault
	s := scanner{b: text}
	s.open('{')
	for n := 0; s.more('}', n); n++ {
		i := s.field(commandFields, &c.seen)
		s.peek()
		start := s.i
		if i >= 0 {
			c.read(&s, 1<<i, limit)
			c.spans[i] = [2]int32{int32(start), int32(s.i)}
		}
	}
	if err := s.end(); err != nil {
		return c, err
	}
	return c, c.check(limit)
}

// read reads the value of one field.
func (c *socketCommand) read(s *scanner, field uint32, limit int) {
	switch field {
	case hasID:
		c.readID(s)
	case hasOp:
		c.readOp(s)
	case hasWatch:
		c.watch = s.uint()
	case hasIfMatch:
		c.ifMatch = s.text().string()
	case hasIfAbsent:
		if !s.bool() && s.err == nil {
			s.failWith(refuse(CodeBadCondition, "if_absent is true or not there"))
		}
	case hasFence:
		c.readFences(s)
	case hasIdemKey:
		c.idemKey = s.text().string()
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

func (c *socketCommand) readID(s *scanner) {
	id := s.uint()
	if s.err == nil && (id == 0 || id > maxID) {
		s.fail("an id is a number from 1 to 2^53-1")
	}
	if s.err == nil {
		c.id = id
	}
}

func (c *socketCommand) readOp(s *scanner) {
	name := s.text().decode(nil)
	if s.err != nil {
		return
	}
	for i := range socketOps {
		if string(name) == socketOps[i].name {
			c.op = &socketOps[i]
		}
	}
}

// readWatch reads a field of a watch; a list has one called keys too, which says
// that values are not wanted.
func (c *socketCommand) readWatch(s *scanner, field uint32) {
	sub := &c.sub
	switch field {
	case hasKeys:
		if s.peek() == '[' {
			sub.req.Keys = s.texts()
		} else {
			c.list.keysOnly, c.keysFlag = s.bool(), true
		}
	case hasPrefixes:
		sub.req.Prefixes = s.texts()
	case hasSince:
		sub.req.Since, sub.hasSince = s.text().string(), true
	case hasState:
		sub.state, sub.hasState = s.bool(), true
	case hasMode:
		if mode := s.text().string(); s.err == nil {
			s.failIf(sub.setMode(mode))
		}
	case hasInterval:
		if interval := s.duration(); s.err == nil {
			s.failIf(sub.setInterval(interval))
		}
	}
}

func (c *socketCommand) readList(s *scanner, field uint32) {
	switch field {
	case hasPrefix:
		c.list.prefix = s.text().string()
	case hasLimit:
		n := s.uint()
		if s.err == nil && (n < 1 || n > pageMax) {
			s.failWith(refuse(CodeBadParameter, "limit is a number from 1 to %d", pageMax))
		}
		c.list.limit = int(n)
	case hasCursor:
		c.cursor = s.text().string()
	case hasConsistency:
		text := s.text().string()
		if c.list.local = text == local; s.err == nil && !c.list.local && text != linearizable {
			s.failWith(refuse(CodeBadParameter, "consistency is linearizable or local, not %.80q", text))
		}
	}
}

func (c *socketCommand) readWrite(s *scanner, field uint32, limit int) {
	switch field {
	case hasKey:
		c.key = s.text().string()
	case hasValue:
		c.value = s.text()
	case hasEncoding:
		c.coding = s.text()
	case hasTTL:
		c.ttl = s.ttl()
	case hasLease:
		c.lease = s.text()
	case hasExpected:
		if c.cas.wantAbsent = s.null(); !c.cas.wantAbsent {
			c.cas.expected = s.text()
		}
	case hasNew:
		if c.cas.remove = s.null(); !c.cas.remove {
			c.cas.next = s.text()
		}
	case hasChecks:
		s.checks(limit, &c.cmd)
	case hasOps:
		c.cmd.Ops = s.ops(limit)
	case hasElse:
		c.cmd.HasElse = true
		c.cmd.Else = s.ops(limit)
	}
}

// failIf notes err, if it is one, unless something was wrong before.
func (s *scanner) failIf(err error) {
	if err != nil {
		s.failWith(err)
	}
}

// readFences reads an object of locks and their tokens.
func (c *socketCommand) readFences(s *scanner) {
	s.open('{')
	for n := 0; s.more('}', n); n++ {
		lock := s.text().string()
		s.colon()
		token := s.uint()
		if s.err != nil {
			return
		}
		for _, f := range c.cmd.Fences {
			if f.Lock == lock {
				s.fail("a lock is there twice")
				return
			}
		}
		if !kv.LockName(lock) || token == 0 || len(c.cmd.Fences) >= 64 {
			s.failWith(refuse(CodeBadCondition, "fence has up to 64 names of locks, and their tokens"))
			return
		}
		c.cmd.Fences = append(c.cmd.Fences, kv.Fence{Lock: lock, Token: kv.Rev(token)})
	}
}

// check checks that the command has what its operation takes, and nothing else.
func (c *socketCommand) check(limit int) error {
	switch {
	case c.id == 0:
		return refuse(CodeBadJSON, "a command has an id")
	case !c.has(hasOp):
		return refuse(CodeBadJSON, "a command has an op")
	case c.op == nil:
		return refuse(CodeBadJSON, "the op is not known here")
	}
	if missing := c.op.need &^ c.seen; missing != 0 {
		return refuse(CodeBadJSON, "%s wants the field %s", c.op.name, fieldOfBit(missing))
	}
	if extra := c.seen &^ (c.op.need | c.op.may | hasID | hasOp); extra != 0 {
		code := CodeBadJSON
		if extra&conditions != 0 {
			code, extra = CodeBadCondition, extra&conditions
		}
		return refuse(code, "%s does not take the field %s", c.op.name, fieldOfBit(extra))
	}
	if n := len(c.cmd.Ops) + len(c.cmd.Else); n > limit {
		return tooManyOps(limit)
	}
	return nil
}

// fieldOfBit returns the name of the first field in a set.
func fieldOfBit(bits uint32) string {
	for i, name := range commandFields {
		if bits&(1<<i) != 0 {
			return name
		}
	}
	return ""
}

// fingerprint identifies what is asked, whatever the id and the order of fields.
func (c *socketCommand) fingerprint() (sum [16]byte) {
	h := sha256.New()
	var size [8]byte
	for i := range commandFields {
		if bit := uint32(1) << i; c.seen&bit == 0 || bit&(hasID|hasIdemKey) != 0 {
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
