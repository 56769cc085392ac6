// Package e2e holds the tests that prove the whole server from outside: they
// build the real command, run it as a process, talk HTTP to it, kill it, damage
// its files, and hold what it answers against what it promises.
package e2e
