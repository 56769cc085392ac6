package api

import "time"

// Limits of requests, the same for every protocol.
const (
	// MaxWait bounds a wait, for a change or a lock.
	MaxWait = 5 * time.Minute
	// MaxIdemKey is the largest idempotency key in bytes.
	MaxIdemKey = 128
	// PageDefault and PageMax bound the entries of a page of a list.
	PageDefault, PageMax = 100, 10_000
	// pageBytes ends a page of a list.
	pageBytes = 8 << 20
)
