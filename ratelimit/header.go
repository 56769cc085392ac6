package ratelimit

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

// Header names of the IETF draft draft-ietf-httpapi-ratelimit-headers-10.
const (
	HeaderRateLimit = "RateLimit"
	HeaderPolicy    = "RateLimit-Policy"
)

// Policy returns the RateLimit-Policy field of a class, such as
// `"writes";q=400;w=2`: the burst, and the whole seconds in which an empty
// bucket fills. It is empty if the class has no limit. Where a bucket fills
// in less than a second the field says one second, which promises too little
// rather than too much.
func (l *Limiter) Policy(class Class) string { return l.current.Load().policy[class] }

func policy(class Class, r Rate) string {
	if r.Off() {
		return ""
	}
	window := max(1, int64(math.Ceil(float64(r.Burst)/r.PerSecond)))
	return fmt.Sprintf(`"%s";q=%d;w=%d`, class, r.Burst, window)
}

// Field returns the RateLimit field for a decision about a class, such as
// `"writes";r=50;t=2`: tokens left, and the seconds until the bucket is full.
// It is empty if the class has no limit.
func (d Decision) Field(class Class) string {
	if d.Limit == 0 {
		return ""
	}
	return fmt.Sprintf(`"%s";r=%d;t=%d`, class, d.Remaining, wholeSeconds(d.Reset))
}

// RetryAfterField returns the Retry-After field in whole seconds, at least 1,
// or "" if the request was let in.
func (d Decision) RetryAfterField() string {
	if d.OK {
		return ""
	}
	return strconv.FormatInt(max(1, wholeSeconds(d.RetryAfter)), 10)
}

// wholeSeconds rounds up.
func wholeSeconds(d time.Duration) int64 {
	return int64((d + time.Second - 1) / time.Second)
}
