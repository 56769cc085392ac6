// Package api is what every protocol of keywatch needs between the wire and the
// store: the codes of errors, the failure that a result or an error is answered
// with, and the JSON documents of requests and answers.
//
// It knows no connection and no server. A protocol reads a document into a
// kv.Command or a watch.Request, runs it, asks Outcome or FailureOf what to
// answer, and writes the answer in its own way, with the Append functions where
// it speaks JSON. Documents are read strictly: what is not understood is refused
// with a Failure, and nothing is changed.
package api
