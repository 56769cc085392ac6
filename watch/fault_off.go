//go:build !keywatchfault

package watch

import "keywatch/kv"

// In a hub that is built with the tag keywatchfault faults can be planted, so
// that tests can see whether those who judge hubs find them. These are the
// places where they strike; without the tag they do nothing and are inlined.

// faultRefs stands where references are handed on: by the dispatcher, and by a
// watcher to itself.
func faultRefs(refs []ref) []ref { return refs }

// faultSaid stands behind each message but the last of a watch.
func faultSaid(_ *Watcher, out []Message) []Message { return out }

// faultSince stands where a watcher resumes.
func faultSince(rev kv.Rev) kv.Rev { return rev }

// faultMatch stands where a key does not match.
func faultMatch() bool { return false }

// faultLost stands where history is found to be gone.
func faultLost() bool { return false }
