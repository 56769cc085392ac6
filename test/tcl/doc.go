// Package tcl runs the test suite of Valkey against the real command, as against a foreign
// server of Redis' protocol. The suite is fetched when it is run, and is no part of this
// repository: KEYWATCH_VALKEY names a checkout of valkey-io/valkey, commit 55bbbe09a.
//
// testdata/pass.txt has the names of the tests that a store of strings must pass, with their
// units; testdata/skip.txt has those that would hang or spoil others. Three names that it could
// have are left out: one has a key with a NUL, one needs a valkey-cli of its own release, one is
// an error that Valkey has and Redis has not. A fourth would pass by luck: it expects the invalidation
// of another client's write before the reply to a PING that is sent after that write. A server with
// one thread tells all before it answers anyone; here connections are told each on its own, soon after.
package tcl
