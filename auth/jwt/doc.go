// Package jwt verifies JSON Web Tokens (RFC 7519) that others have signed, such as a company's identity
// provider.
//
// The operator names the keys, in a file or at one URL, the issuer and the audience. Nothing that a token
// says decides where keys are read from, or which algorithm its signature is verified with: each key is for
// one algorithm, and only keys of the algorithm that a token names are tried. A token must expire, must be
// for the audience, and has 4 KiB at most.
//
// What costs nothing is looked at first: form, header and claims. Signatures are verified by a bounded number
// of goroutines at once, and an address whose tokens have wrong signatures must wait.
//
// A key that is removed at its source is forgotten with the next read, and with it what it has signed. A set
// that cannot be read changes nothing for a day; after that no token is accepted until it can be read.
package jwt
