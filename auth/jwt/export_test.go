package jwt

import "net/http"

// SetTransport has keys be asked for with rt.
func (k *Keys) SetTransport(rt http.RoundTripper) { k.client.Transport = rt }

// Occupy has the keys verify as many tokens as they may at once, and as many wait, until done is called.
func (k *Keys) Occupy() (done func()) {
	for range cap(k.work.slots) {
		k.work.slots <- struct{}{}
	}
	k.work.waiting.Add(waitingMax)
	return func() {
		k.work.waiting.Add(-waitingMax)
		for range cap(k.work.slots) {
			<-k.work.slots
		}
	}
}

// Bounds that tests go to.
const (
	AgedAfter = agedAfter
	UrlEvery  = urlEvery
	UrlSoon   = urlSoon
	FileEvery = fileEvery
	Leeway    = leeway
	KeysMax   = keysMax
	TriedMax  = triedMax
	SetMax    = setMax
)

// ParseSet reads a set and returns how many keys it has.
func ParseSet(b []byte, secrets bool) (int, error) {
	set, err := parseSet(b, secrets)
	return len(set), err
}
