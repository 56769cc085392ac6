package api

import (
	"time"

	"keywatch/kv"
)

// ParseDuration reads a duration such as 250ms, 30s, 24h or 1h30m, or plain
// seconds. It reports false for anything else: signs, other units, or what
// does not fit.
func ParseDuration(text string) (time.Duration, bool) {
	if text == "" || len(text) > 32 || text[0] < '0' || text[0] > '9' {
		return 0, false
	}
	plain := true
	for i := range len(text) {
		switch c := text[i]; {
		case c >= '0' && c <= '9' || c == '.':
		case c == 'h' || c == 'm' || c == 's':
			plain = false
		default:
			return 0, false
		}
	}
	if plain {
		text += "s"
	}
	d, err := time.ParseDuration(text)
	return d, err == nil && d >= 0
}

// ParseTTL reads a time to live: "keep", or a duration from kv.MinTTL to
// kv.MaxTTL.
func ParseTTL(text string) (time.Duration, error) {
	if text == "keep" {
		return kv.KeepTTL, nil
	}
	d, ok := ParseDuration(text)
	if !ok {
		return 0, Refuse(CodeBadDuration, "ttl: expected keep or a duration of 1ms to 10 years, such as 30s, got %.80q", text)
	}
	if d < kv.MinTTL || d > kv.MaxTTL {
		return 0, Refuse(CodeBadDuration, "ttl: expected 1ms to 10 years, got %.80q", text)
	}
	return d, nil
}

// ParseTouch reads the TTL that a touch gives: a duration, or none. It fails with a
// Failure.
func ParseTouch(text string) (time.Duration, error) {
	if text == "none" {
		return 0, nil
	}
	d, ok := ParseDuration(text)
	if !ok || d < kv.MinTTL || d > kv.MaxTTL {
		return 0, Refuse(CodeBadDuration, "ttl: expected none or a duration of 1ms to 10 years, such as 30s, got %.80q", text)
	}
	return d, nil
}

// ParseBy reads the number that an add adds. It fails with a Failure.
func ParseBy(text string) (int64, error) {
	n, ok := kv.ParseInteger(text)
	if !ok {
		return 0, Refuse(CodeBadParameter, "by: expected a whole number of 64 bits, got %.80q", text)
	}
	return n, nil
}
