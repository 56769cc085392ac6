// Package certs keeps the certificate that a server shows to its clients over TLS, and decides which
// certificates of clients it accepts.
//
// A Keeper reads the files that an operator names, looks at them again every ten seconds and when it
// is told to, and has new connections use what they contain then. Files that cannot be used change
// nothing: the earlier certificate is served, a metric and a log line say so. Certificate, key and
// the authorities of clients change together, in one tls.Config, so that no handshake sees one of
// them without the others.
//
// Without files a Keeper can make a certificate that no authority has signed. Its key stays the same
// when the certificate is renewed, so that its fingerprint, which clients pin, does too.
//
// Connections are TLS 1.2 or later with the cipher suites of Go, and are never resumed: a resumed
// session keeps the certificate of a client whose authority is no longer accepted.
package certs
