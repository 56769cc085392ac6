package main

// The roots of TLS that are used where the system has none, as in an image that has nothing but
// this program: object stores and collectors of traces are asked by https.
import _ "golang.org/x/crypto/x509roots/fallback"
