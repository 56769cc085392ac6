package kv

import (
	"math"
	"math/big"
	"strconv"
)

// OpError says why one operation changed nothing.
type OpError uint8

// The reasons.
const (
	// NotInteger means that the value is no decimal integer of 64 bits.
	NotInteger OpError = iota + 1
	// Overflow means that the sum has no 64 bits.
	Overflow
	// NotFloat means that the value is no decimal number of less than SmallValue bytes.
	NotFloat
	// NotFinite means that the sum is too large for a number.
	NotFinite
	// NoValue means that OpTouch has no value for a key whose value is not small.
	NoValue
)

// String returns what the value, or the sum, is not.
func (e OpError) String() string {
	switch e {
	case NotInteger:
		return "the value is not an integer or out of range"
	case Overflow:
		return "the sum is out of range"
	case NotFloat:
		return "the value is not a number"
	case NotFinite:
		return "the sum is not a finite number"
	}
	return "the value is not at hand"
}

// ParseInteger reads a decimal integer of 64 bits as AddInteger writes it: no plus, no
// zero in front, no blank.
func ParseInteger(s string) (n int64, ok bool) {
	digits := s
	if len(s) > 1 && s[0] == '-' {
		digits = s[1:]
		if digits[0] == '0' {
			return 0, false
		}
	}
	if digits == "" || len(s) > 20 || digits[0] < '0' || digits[0] > '9' || digits[0] == '0' && len(digits) > 1 {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}

// AddInteger returns the sum of the integer that value is, and by.
func AddInteger(value string, by int64) (sum string, why OpError) {
	n, ok := ParseInteger(value)
	if !ok {
		return "", NotInteger
	}
	if by > 0 && n > math.MaxInt64-by || by < 0 && n < math.MinInt64-by {
		return "", Overflow
	}
	return strconv.FormatInt(n+by, 10), 0
}

const (
	// floatBits is the mantissa of a sum, floatExponent the largest binary exponent:
	// those of the 80 bits that other servers of counters compute with.
	floatBits, floatExponent = 64, 16384
	// floatDigits is how many decimals a sum is written with at most.
	floatDigits = 17
	// maxDecimalExponent bounds the exponent that a number may be written with.
	maxDecimalExponent = 4999
)

// AddFloat returns the sum of two decimal numbers: computed with a mantissa of 64 bits,
// written with up to 17 decimals and without an exponent.
func AddFloat(value, by string) (sum string, why OpError) {
	if len(value) >= SmallValue {
		return "", NotFloat
	}
	a, ok := parseFloat([]byte(value))
	if !ok {
		return "", NotFloat
	}
	b, ok := parseFloat([]byte(by))
	if !ok {
		return "", NotFloat
	}
	if a.IsInf() || b.IsInf() {
		return "", NotFinite
	}
	z := new(big.Float).SetPrec(floatBits).Add(a, b)
	if z.IsInf() || z.Sign() != 0 && z.MantExp(nil) > floatExponent {
		return "", NotFinite
	}
	return formatFloat(z), 0
}

// formatFloat writes z with floatDigits decimals, less the zeros at their end.
func formatFloat(z *big.Float) string {
	b := z.Append(nil, 'f', floatDigits)
	for b[len(b)-1] == '0' {
		b = b[:len(b)-1]
	}
	if b[len(b)-1] == '.' {
		b = b[:len(b)-1]
	}
	if string(b) == "-0" {
		return "0"
	}
	return string(b)
}

// parseFloat reads a decimal number, with or without an exponent, or an infinity.
func parseFloat(s []byte) (*big.Float, bool) {
	sign, rest := 1, s
	if len(rest) > 0 && (rest[0] == '-' || rest[0] == '+') {
		if rest[0] == '-' {
			sign = -1
		}
		rest = rest[1:]
	}
	switch string(rest) {
	case "inf", "Inf", "INF", "infinity", "Infinity", "INFINITY":
		return new(big.Float).SetInf(sign < 0), true
	}
	if len(rest) == 0 || len(rest) > 5<<10 || !decimal(rest) {
		return nil, false
	}
	r, ok := new(big.Rat).SetString(string(s))
	if !ok {
		return nil, false
	}
	f := new(big.Float).SetPrec(floatBits).SetRat(r) // rounded once
	if f.Sign() != 0 && f.MantExp(nil) > floatExponent {
		return nil, false
	}
	return f, true
}

// decimal reports whether s is digits with at most one point, and perhaps an exponent
// of at most maxDecimalExponent.
func decimal(s []byte) bool {
	i, digits, points := 0, 0, 0
	for ; i < len(s); i++ {
		if s[i] == '.' {
			points++
		} else if s[i] >= '0' && s[i] <= '9' {
			digits++
		} else {
			break
		}
	}
	if digits == 0 || points > 1 {
		return false
	}
	if i == len(s) {
		return true
	}
	if s[i] != 'e' && s[i] != 'E' {
		return false
	}
	exp := s[i+1:]
	if len(exp) > 0 && (exp[0] == '-' || exp[0] == '+') {
		exp = exp[1:]
	}
	if len(exp) == 0 || len(exp) > 8 {
		return false
	}
	for _, c := range exp {
		if c < '0' || c > '9' {
			return false
		}
	}
	n, _ := strconv.Atoi(string(exp))
	return n <= maxDecimalExponent
}
