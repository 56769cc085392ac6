// Package watchtest records what a watcher was told, as messages of a hub or as
// the bytes of a stream, over all connections that it took, and judges the
// record against the history of the store by nine rules, each of which has its
// own validator. It is for tests only.
//
// A record is judged as a careful client reads it: a revision whose last change
// has not come when the connection ends does not count, and what came of a
// resync that was cut off is forgotten.
package watchtest
