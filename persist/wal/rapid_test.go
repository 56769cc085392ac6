package wal_test

import "flag"

// The random choices of models are the same in every run; -rapid.seed=0 asks for others.
func init() {
	if err := flag.Set("rapid.seed", "1"); err != nil {
		panic(err)
	}
}
