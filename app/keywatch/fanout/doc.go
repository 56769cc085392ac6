// Package fanout loads a server with watchers and judges what reaches them. It
// opens thousands of SSE or WebSocket connections on one goroutine, over one
// epoll instance (Linux only), so that the load costs the machine less than the
// server does; publishes stamped values on a schedule; and counts for each
// watcher what was lost, came twice, came out of order, or was meant for another.
//
// It speaks keywatch's protocol, and plain SSE or WebSocket with any other
// server whose addresses are given as templates: a stamp is found wherever it
// stands in an event. Times are of CLOCK_MONOTONIC, which all processes of one
// machine share.
package fanout
