// Package trace records when the parts of a request began and ended, of those requests that are
// sampled, and keeps them until an exporter takes them.
//
// A [Tracer] decides at the head of a request whether it is sampled: as its caller says in
// traceparent, the header of W3C Trace Context, and otherwise one in so many. It returns a nil
// [Span] for those that are not, and so does a nil Tracer for all. What records a part tests for
// nil first, and a request that is not sampled costs nothing else.
//
// The parts of a write are known only once its log entry is applied, and are shared by all
// commands of the entry. So a part is added to the trace of each of them afterwards, with the
// time when it began and when it ended: see [Span.Add].
package trace
