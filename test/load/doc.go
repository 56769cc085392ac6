// Package load has the clients that tests load servers with, and the judges of what those
// clients were told. A [Worker] records a history that must be linearizable, a teller repeats
// each of its writes until it knows the outcome, so that it knows every change that happened,
// and a [Streamer] records watches, over connections that it cuts. They ask a [Target]: one
// server that restarts, or any of several servers that are one store. It is for tests only.
package load
