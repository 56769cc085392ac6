// Package cluster holds the tests that prove a cluster from outside: they run the real
// command on several nodes, each in a network namespace of its own, lead every connection
// between two nodes through a proxy, and cut, delay, stop, kill and fill while clients work.
// What the clients were told is judged against what the servers promise.
//
// A history is the work of one set of clients on keys of their own while one thing goes wrong
// and heals. One cluster has many histories, one after the other.
//
// The process that runs the tests has a network of its own, so that no other program of the
// machine meets what comes and goes in it. The tests need root and iproute2. Without them they are skipped, or fail where nothing may
// be skipped.
package cluster
