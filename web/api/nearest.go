package api

import "strings"

// nearestMax is the largest distance at which a name still counts as a misspelling.
const nearestMax = 2

// DidYouMean returns a hint that names the one of known that name is nearest to, whatever its
// case, or all of known if name resembles none of them. It is empty if known is. All of known
// are in lower case.
func DidYouMean(name string, known []string) string {
	best := Nearest(name, known)
	switch {
	case best != "":
		return "; did you mean " + best + "?"
	case len(known) == 0:
		return ""
	}
	return "; expected one of " + strings.Join(known, ", ")
}

// Nearest returns the one of known, all in lower case, that name is nearest to, whatever its
// case; "" if name resembles none of them.
func Nearest(name string, known []string) string {
	best, least := "", nearestMax+1
	name = strings.ToLower(name)
	for _, k := range known {
		if d := distance(name, k); d < least && d < min(len(k), len(name)) {
			best, least = k, d
		}
	}
	return best
}

// distance returns how many bytes must be inserted, removed or replaced to make b of a
// (Levenshtein's distance); nearestMax+1 where the lengths alone differ by more than nearestMax.
func distance(a, b string) int {
	if len(a) > len(b)+nearestMax || len(b) > len(a)+nearestMax {
		return nearestMax + 1
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		corner := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := corner
			if a[i] != b[j] {
				replaced++
			}
			corner = row[j+1]
			row[j+1] = min(replaced, corner+1, row[j]+1)
		}
	}
	return row[len(b)]
}
