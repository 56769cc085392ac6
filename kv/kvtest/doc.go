// Package kvtest is what tests of keywatch judge by: a deliberately simple
// [Model] of what commands do, generators of random commands, and a conformance
// [Suite] that every store must pass, however it is reached.
package kvtest
