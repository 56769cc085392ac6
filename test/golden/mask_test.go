package golden_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// names replaces what differs from run to run by what does not.
type names struct {
	epoch  string
	leases []string // in the order in which they were seen
}

var (
	leaseText = regexp.MustCompile(`l-[0-9a-f]{32}`)
	dateText  = regexp.MustCompile(`\r\nDate: [^\r]*\r\n`)
	leftText  = regexp.MustCompile(`("(?:ttl|remaining)_ms":|Keywatch-TTL: )([0-9]+)`)
	retryText = regexp.MustCompile(`(^|\n)(retry: )[0-9]{4}\n`)
	byeText   = regexp.MustCompile(`("type":"bye","code":"[a-z_]+","retry_ms":)[0-9]{4}`)
	dataText  = regexp.MustCompile(`("data":")/[^"]*"`)
	storeText = regexp.MustCompile(`("store":")[0-9a-f]{16}"`)
	pageText  = regexp.MustCompile(`ETag: "[0-9a-f]{24}"`)
	rateText  = regexp.MustCompile(`(RateLimit: "[a-z]+";r=[0-9]+;t=|Retry-After: )[0-9]{3,}`)
	tookText  = regexp.MustCompile(`("took_ms":)[0-9]+`)
	wordsText = regexp.MustCompile(`"detail":"((?:[^"\\]|\\.)*)"`)
	digits    = regexp.MustCompile(`[0-9]`)
	numbers   = regexp.MustCompile(`-?[0-9]+(\.[0-9]+)?(e[+-]?[0-9]+)?`)
)

// fill puts into a text that is sent what its names stand for.
func (n *names) fill(text string) string {
	text = strings.ReplaceAll(text, "{epoch}", n.epoch)
	for i, id := range n.leases {
		text = strings.ReplaceAll(text, fmt.Sprintf("{lease %d}", i+1), id)
	}
	return text
}

// mask returns text with what differs from run to run replaced, and the words of
// the errors in it.
func (n *names) mask(text string) (masked string, words []string) {
	text = strings.ReplaceAll(text, n.epoch, "{epoch}")
	text = leaseText.ReplaceAllStringFunc(text, n.lease)
	text = dateText.ReplaceAllString(text, "\r\nDate: ~\r\n")
	text = leftText.ReplaceAllStringFunc(text, func(s string) string {
		part := leftText.FindStringSubmatch(s)
		return part[1] + digits.ReplaceAllString(part[2], "#")
	})
	text = retryText.ReplaceAllString(text, "${1}${2}~\n")
	text = byeText.ReplaceAllString(text, "${1}~")
	text = dataText.ReplaceAllString(text, `${1}~"`)
	text = storeText.ReplaceAllString(text, `${1}~"`)
	text = pageText.ReplaceAllString(text, `ETag: "~"`)
	text = rateText.ReplaceAllString(text, "${1}~")
	text = tookText.ReplaceAllString(text, "${1}{milliseconds}")
	for _, found := range wordsText.FindAllStringSubmatch(text, -1) {
		words = append(words, mark("~", found[1]))
	}
	return wordsText.ReplaceAllString(text, `"detail":"~"`), words
}

func (n *names) lease(id string) string {
	i := slices.Index(n.leases, id)
	if i < 0 {
		i = len(n.leases)
		n.leases = append(n.leases, id)
	}
	return fmt.Sprintf("{lease %d}", i+1)
}
