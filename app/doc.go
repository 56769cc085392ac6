// Package app puts the parts of keywatch together. [Open] opens an engine on a
// folder or in memory and gives a Go program the store and its watches without
// any listener; [Serve] does the same and answers HTTP until it is told to stop.
//
// Everything is opened in order and closed in reverse; the order and its
// reasons stand where it happens.
package app
