// Package proxies holds the tests that take streams through what stands between
// servers and people: nginx, with and without compression, haproxy, and a real
// browser's EventSource and WebSocket. They are skipped, with a word, where
// those are not installed. What needs a browser runs with the long proofs.
package proxies
