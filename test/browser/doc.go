// Package browser tries the dashboard and keywatch.js as people meet them: in
// Chromium, against a whole server. It has no code of its own beside its tests.
//
// Without Chromium its tests are skipped and say so; where
// KEYWATCH_REQUIRE_BROWSER is 1, as in continuous integration, they fail.
package browser
