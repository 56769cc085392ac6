package ratelimit

import (
	"fmt"
	"strconv"
	"strings"
)

// ParseRates reads limits as the flag --rate-limit takes them and returns
// Options with only the rates set:
//
//	off                                      no limit
//	reads=1000/s,writes=200/s:400            1000 reads a second; 200 writes a
//	                                         second, up to 400 at once
//	watches=30/m                             30 new watches a minute
//
// A class is reads, writes or watches, each named once at most; one that is
// not named, or is "off", has no limit. A rate is a number per s, m or h. The
// burst after the colon is a whole number of requests; without it, it is what
// one second brings, at least 1.
func ParseRates(text string) (Options, error) {
	if strings.TrimSpace(text) == "off" {
		return Options{}, nil
	}
	var rates [classes]Rate
	var named [classes]bool
	for part := range strings.SplitSeq(text, ",") {
		class, rate, err := parsePart(strings.TrimSpace(part))
		if err != nil {
			return Options{}, err
		}
		if named[class] {
			return Options{}, fmt.Errorf("rate limit: %s is repeated", class)
		}
		named[class], rates[class] = true, rate
	}
	o := Options{Reads: rates[Read], Writes: rates[Write], Watches: rates[Watch]}
	return o, o.Validate()
}

// Rates returns the limits of o as ParseRates takes them.
func (o Options) Rates() string {
	if o.Off() {
		return "off"
	}
	var parts []string
	for c, r := range o.rates() {
		if !r.Off() {
			parts = append(parts, Class(c).String()+"="+r.String())
		}
	}
	return strings.Join(parts, ",")
}

// parsePart reads "writes=200/s:400".
func parsePart(part string) (Class, Rate, error) {
	name, value, ok := strings.Cut(part, "=")
	if !ok {
		return 0, Rate{}, fmt.Errorf("rate limit: expected CLASS=RATE such as reads=1000/s, got %q", part)
	}
	class, err := parseClass(strings.TrimSpace(name))
	if err != nil {
		return 0, Rate{}, err
	}
	rate, err := ParseRate(strings.TrimSpace(value))
	if err != nil {
		return 0, Rate{}, fmt.Errorf("rate limit: %s: %w", class, err)
	}
	return class, rate, nil
}

func parseClass(name string) (Class, error) {
	for c := range classes {
		if c.String() == name {
			return c, nil
		}
	}
	return 0, fmt.Errorf("rate limit: expected reads, writes or watches, got %q", name)
}

// unitSeconds are the seconds in each unit of a rate.
var unitSeconds = map[string]float64{"s": 1, "m": 60, "h": 3600}

// ParseRate reads one rate, such as 200/s, 200/s:400 or off, which is the zero Rate.
func ParseRate(text string) (Rate, error) {
	if text == "off" {
		return Rate{}, nil
	}
	text, burstText, hasBurst := strings.Cut(text, ":")
	number, unit, ok := strings.Cut(text, "/")
	seconds := unitSeconds[unit]
	if !ok || seconds == 0 {
		return Rate{}, fmt.Errorf("expected a number per s, m or h, got %q", text)
	}
	n, err := strconv.ParseFloat(number, 64)
	if err != nil || !(n > 0) {
		return Rate{}, fmt.Errorf("expected a number above 0, got %q", number)
	}
	rate := Rate{PerSecond: n / seconds}
	if hasBurst {
		rate.Burst, err = strconv.Atoi(burstText)
		if err != nil || rate.Burst < 1 {
			return Rate{}, fmt.Errorf("burst: expected a whole number above 0, got %q", burstText)
		}
	}
	return rate.withBurst(), nil
}

// formatPerSecond writes a rate in the unit that makes it a whole number, if
// one does.
func formatPerSecond(perSecond float64) string {
	for _, unit := range []string{"s", "m", "h"} {
		text := strconv.FormatFloat(perSecond*unitSeconds[unit], 'g', 12, 64)
		if !strings.ContainsAny(text, ".e") {
			return text + "/" + unit
		}
	}
	return strconv.FormatFloat(perSecond, 'g', -1, 64) + "/s"
}
