// Package browser tries the dashboard and keywatch.js as people meet them: in
// Chromium, against a whole server. It has no code of its own beside its tests.
//
// Without Chromium its tests are skipped and say so. What takes more than about a
// second runs with the long proofs.
package browser
