// Package policy simulates eviction policies on traces, to choose the one that
// package kv uses by measurement, and to hold what kv does against the best of
// them. Nothing but tests imports it.
package policy
