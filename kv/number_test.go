package kv_test

import (
	"math"
	"math/big"
	"math/rand/v2"
	"strconv"
	"testing"

	"keywatch/kv"
	"keywatch/test/gate"
)

// A counter that takes a text for another number than it is would count wrong on one
// server and be refused on another.
func TestAddInteger(t *testing.T) {
	for _, c := range []struct {
		value string
		by    int64
		want  string
		why   kv.OpError
	}{
		{"0", 1, "1", 0}, {"-1", 1, "0", 0}, {"9223372036854775807", 0, "9223372036854775807", 0},
		{"-9223372036854775808", 0, "-9223372036854775808", 0},
		{"9223372036854775807", 1, "", kv.Overflow}, {"-9223372036854775808", -1, "", kv.Overflow},
		{"-1", math.MinInt64, "", kv.Overflow}, {"0", math.MinInt64, "-9223372036854775808", 0},
		{"9223372036854775808", 0, "", kv.NotInteger}, {"-9223372036854775809", 0, "", kv.NotInteger},
		{"", 1, "", kv.NotInteger}, {"-", 1, "", kv.NotInteger}, {"-0", 1, "", kv.NotInteger},
		{"00", 1, "", kv.NotInteger}, {"01", 1, "", kv.NotInteger}, {"-01", 1, "", kv.NotInteger},
		{"+1", 1, "", kv.NotInteger}, {" 1", 1, "", kv.NotInteger}, {"1 ", 1, "", kv.NotInteger},
		{"1\x00", 1, "", kv.NotInteger}, {"1_0", 1, "", kv.NotInteger}, {"0x1", 1, "", kv.NotInteger},
		{"1e3", 1, "", kv.NotInteger}, {"--1", 1, "", kv.NotInteger}, {"٣", 1, "", kv.NotInteger},
	} {
		if got, why := kv.AddInteger(c.value, c.by); got != c.want || why != c.why {
			t.Errorf("%q + %d: got %q, %d, want %q, %d", c.value, c.by, got, why, c.want, c.why)
		}
	}
	random := rand.New(rand.NewPCG(uint64(gate.Seed(t)), 1))
	for range 10_000 {
		a, b := int64(random.Uint64()), int64(random.Uint64()>>random.IntN(64))
		sum := new(big.Int).Add(big.NewInt(a), big.NewInt(b))
		got, why := kv.AddInteger(strconv.FormatInt(a, 10), b)
		if sum.IsInt64() && got != sum.String() || !sum.IsInt64() && why != kv.Overflow {
			t.Fatalf("%d + %d: got %q, %d, want %v", a, b, got, why, sum)
		}
	}
}

// A sum must be written as the servers write it that computed with 80 bits: these were
// read off one.
func TestAddFloat(t *testing.T) {
	for _, c := range []struct {
		value, by, want string
		why             kv.OpError
	}{
		{"0", "0.1", "0.1", 0}, {"10.5", "0.1", "10.6", 0}, {"5.0e3", "2.0e2", "5200", 0},
		{"3", "1.000000000000000005", "4.00000000000000001", 0},
		{"0.1", "0.2", "0.3", 0}, {"1", "-1.1", "-0.1", 0}, {"0", "-0", "0", 0}, {"-0.00", "0", "0", 0},
		{"17179869184", "1.5", "17179869185.5", 0}, {"010", "1", "11", 0}, {".5", "5.", "5.5", 0},
		{"+1", "+1", "2", 0}, {"1e19", "1", "10000000000000000001", 0}, {"1e20", "1", "100000000000000000000", 0},
		{"1e-4000", "0", "0", 0},
		{"1e4932", "1e4932", "", kv.NotFinite}, {"0", "inf", "", kv.NotFinite}, {"inf", "-inf", "", kv.NotFinite},
		{"1e5000", "0", "", kv.NotFloat}, {"", "1", "", kv.NotFloat}, {" 1", "1", "", kv.NotFloat},
		{"1 ", "1", "", kv.NotFloat}, {"nan", "1", "", kv.NotFloat}, {"1/2", "1", "", kv.NotFloat},
		{"1_0", "1", "", kv.NotFloat}, {"0x10", "1", "", kv.NotFloat}, {"1e", "1", "", kv.NotFloat},
		{"1.2.3", "1", "", kv.NotFloat}, {"1e99999999999", "1", "", kv.NotFloat}, {"1\x00", "1", "", kv.NotFloat},
		{tooLongFloat, "1", "", kv.NotFloat},
	} {
		if got, why := kv.AddFloat(c.value, c.by); got != c.want || why != c.why {
			t.Errorf("%q + %q: got %q, %d, want %q, %d", c.value, c.by, got, why, c.want, c.why)
		}
	}
}

const tooLongFloat = "0.00000000000000000000000000000000000000000000000000000000000001"
