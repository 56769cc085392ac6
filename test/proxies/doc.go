// Package proxies holds the tests that take streams through what stands between
// servers and people: nginx, with and without compression, haproxy, and a real
// browser's EventSource and WebSocket. They are skipped, with a word, where
// those are not installed; KEYWATCH_REQUIRE_PEERS=1 makes that a failure.
package proxies
