// Package web is what the network sees of a store: keys, batches, lists and
// watches over HTTP, with errors as application/problem+json (RFC 9457).
//
// It translates and decides nothing: a request becomes one kv.Command or one
// read, and an outcome becomes a status and a code. Whatever is not understood
// in a request, be it a parameter, a condition or a JSON field, is refused with
// a 4xx, and nothing is changed.
//
// One handler serves every route. Paths are read from the bytes on the wire
// and decoded exactly once; routes are strict and case-sensitive. No part of a
// request is used after its handler has returned.
package web
