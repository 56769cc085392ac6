package main

import "testing"

// If a unit were lost or wrong, a person would read a number a thousand times off.
func TestQuantity(t *testing.T) {
	for _, c := range []struct{ section, name, text, label, want string }{
		{"", "keys", "12345678901", "keys", "12,345,678,901"},
		{"", "keys", "999", "keys", "999"},
		{"", "bytes", "1536", "size", "1.5 KiB"},
		{"log", "disk_bytes", "4194304", "disk", "4.0 MiB"},
		{"log", "fsync_mean_us", "1116", "fsync mean", "1.116ms"},
		{"checkpoint", "age_ms", "-1", "age", "never"},
		{"checkpoint", "age_ms", "90000", "age", "1m30s"},
		{"tiers disk", "hit_rate", "0.125", "hit rate", "12.5%"},
		{"memory", "used", "12582912", "used", "12.0 MiB"},
		{"memory", "waited", "12582912", "waited", "12,582,912"},
		{"tiers memory", "keys", "1024", "keys", "1,024"},
		{"", "position", "7f3a9c21-1", "position", "7f3a9c21-1"},
		{"", "load", "-1234.56", "load", "-1,234.6"},
	} {
		if label, got := quantity(c.section, c.name, c.text); label != c.label || got != c.want {
			t.Errorf("%s %s=%s: got %q %q, want %q %q", c.section, c.name, c.text, label, got, c.label, c.want)
		}
	}
}
