package main

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// plainText shows a JSON value that is neither an object nor a list.
func plainText(token json.Token) string {
	switch v := token.(type) {
	case nil:
		return "-"
	case bool:
		if v {
			return "yes"
		}
		return "no"
	}
	return fmt.Sprint(token)
}

// units are the endings of names that say in what a number counts.
var units = []struct {
	ending string
	show   func(float64) string
}{
	{"_bytes", bytesText},
	{"_ms", func(n float64) string { return timeText(n * 1e3) }},
	{"_us", timeText},
	{"_seconds", func(n float64) string { return timeText(n * 1e6) }},
}

// memoryCounts are the numbers in the section of memory that count no bytes.
var memoryCounts = []string{"waited", "refused", "total", "count", "closed", "callers"}

// quantity returns the name and the text of a field as a person reads them: the
// unit moves from the name to the number.
func quantity(section, name, text string) (string, string) {
	label := strings.ReplaceAll(name, "_", " ")
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return label, text
	}
	for _, u := range units {
		if rest, ok := strings.CutSuffix(name, u.ending); ok {
			return strings.ReplaceAll(rest, "_", " "), u.show(n)
		}
	}
	switch {
	case strings.HasSuffix(name, "_rate"):
		return label, strconv.FormatFloat(100*n, 'f', 1, 64) + "%"
	case name == "bytes":
		return "size", bytesText(n)
	case section == "memory" && !isCount(name):
		return label, bytesText(n)
	}
	return label, numberText(n)
}

func isCount(name string) bool {
	for _, ending := range memoryCounts {
		if strings.HasSuffix(name, ending) {
			return true
		}
	}
	return false
}

func bytesText(n float64) string { return sizeText(int64(n)) }

// timeText shows microseconds; below 0 is a time that has not come.
func timeText(us float64) string {
	if us < 0 {
		return "never"
	}
	return time.Duration(us * 1e3).String()
}

// numberText shows a number with its thousands apart, and at most one decimal.
func numberText(n float64) string {
	text := strconv.FormatFloat(n, 'f', -1, 64)
	if n != float64(int64(n)) {
		text = strconv.FormatFloat(n, 'f', 1, 64)
	}
	whole, rest, _ := strings.Cut(text, ".")
	sign := ""
	if strings.HasPrefix(whole, "-") {
		sign, whole = "-", whole[1:]
	}
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if rest != "" {
		rest = "." + rest
	}
	return sign + whole + rest
}
