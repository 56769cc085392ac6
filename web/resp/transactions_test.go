package resp_test

import (
	"testing"
)

// A transaction that runs in part, or not at all where it should, loses what it was for.
func TestTransactions(t *testing.T) {
	w := newWorld(t)
	w.log.stands.Store(1000) // no TTL gets shorter
	c, other := w.dial(), w.dial()
	script(t, c, `
		EXEC => -ERR EXEC without MULTI
		DISCARD => -ERR DISCARD without MULTI
		MULTI => +OK
		SET a 1 => +QUEUED
		INCR a => +QUEUED
		EXPIRE a 100 => +QUEUED
		APPEND a 5 => +QUEUED
		INCR a => +QUEUED
		GET a => +QUEUED
		SET text x => +QUEUED
		INCR text => +QUEUED
		SETNX a 9 => +QUEUED
		TTL a => +QUEUED
		PING => +QUEUED
		RENAME a b => +QUEUED
		GET b => +QUEUED
		EXEC => [+OK 2 1 2 26 "26" +OK -ERR value is not an integer or out of range 0 100 +PONG +OK "26"]
		GET a => nil
		TTL b => 100
		MULTI => +OK
		MULTI => -ERR MULTI calls can not be nested
		EXEC => -EXECABORT Transaction discarded because of previous errors.
		MULTI => +OK
		SET x 1 => +QUEUED
		FOO => -ERR unknown command 'FOO', with args beginning with: 
		EXEC => -EXECABORT Transaction discarded because of previous errors.
		EXISTS x => 0
		MULTI => +OK
		SET a//b 1 => -ERR bad key: a segment between slashes is empty
		EXEC => -EXECABORT Transaction discarded because of previous errors.
		MULTI => +OK
		SCAN 0 => -ERR scan is not supported in a transaction
		DISCARD => +OK
		MULTI => +OK
		EXEC => []
		MULTI => +OK
		GET b => +QUEUED
		MGET b zz => +QUEUED
		EXEC => ["26" ["26" nil]]
		WATCH b => +OK
	`)
	other.want("SET b 1", "+OK")
	script(t, c, `
		MULTI => +OK
		SET b 2 => +QUEUED
		EXEC => nil
		GET b => "1"
		WATCH b none => +OK
		MULTI => +OK
		WATCH b => -ERR WATCH inside MULTI is not allowed
		DISCARD => +OK
		WATCH b none => +OK
		MULTI => +OK
		SET b 3 => +QUEUED
		EXEC => [+OK]
		WATCH b => +OK
		UNWATCH => +OK
	`)
	other.want("SET b 9", "+OK")
	script(t, c, `
		MULTI => +OK
		KW.CHECK b VALUE 9 => +QUEUED
		SET b 4 => +QUEUED
		KW.CAS b 1 5 => +QUEUED
		EXEC => [+OK +OK [0 5 5]]
		MULTI => +OK
		KW.CHECK b ABSENT => +QUEUED
		SET b 5 => +QUEUED
		EXEC => nil
		MULTI => +OK
		KW.FENCE deploy 7 => +QUEUED
		SET b 5 => +QUEUED
		EXEC => -FENCELOST deploy
		KW.CHECK b ABSENT => -ERR this command is a condition of a transaction: send it after MULTI
		MULTI => +OK
		FLUSHALL => +QUEUED
		DBSIZE => +QUEUED
		RESET => +RESET
		EXEC => -ERR EXEC without MULTI
	`)
}
