package jwt

import (
	"fmt"
	"runtime"
	"sync/atomic"

	"keywatch/auth"
	"keywatch/kv"
	"keywatch/ratelimit"
)

var _ auth.Verifier = (*Keys)(nil)

// Verify implements auth.Verifier. Signatures are verified last, and only so many at once; address is that of
// the caller, whose wrong signatures are counted.
func (k *Keys) Verify(text, address string) (auth.Identity, error) {
	set := *k.set.Load()
	if set == nil {
		return auth.Identity{}, fmt.Errorf("%w: %w", kv.ErrStarting, errNoKeys)
	}
	t, err := parse(text)
	if err != nil {
		return auth.Identity{}, err
	}
	id, roles, err := k.opts.read(t.parsed.UnsafePayloadWithoutVerification(), k.opts.Now().UnixMilli())
	if err != nil {
		return auth.Identity{}, err
	}
	able := set.candidates(t.algorithm, t.name)
	if len(able) == 0 {
		if t.name != "" && !set.has(t.name) {
			k.ask()
		}
		return auth.Identity{}, unknown("no key with its kid and algorithm")
	}
	signer, err := k.signer(able, &t, address)
	if err != nil {
		return auth.Identity{}, err
	}
	if id.Roles, err = rolesOf(roles); err != nil {
		return auth.Identity{}, err
	}
	id.Signer = signer.id
	return id, nil
}

// signer returns which of keys has signed a token.
func (k *Keys) signer(able []*key, t *token, address string) (*key, error) {
	done, err := k.work.begin(address)
	if err != nil {
		k.counts.refused.Add(1)
		return nil, err
	}
	defer done()
	for _, each := range able {
		if _, err := t.parsed.Verify(each.public); err == nil {
			k.counts.good.Add(1)
			return each, nil
		}
	}
	k.counts.wrong.Add(1)
	k.work.wrong(address)
	return nil, unknown("wrong signature")
}

// waitingMax is how many tokens may wait to be verified.
const waitingMax = 64

// work bounds what unknown tokens cost.
type work struct {
	// slots has one for each that is verified now.
	slots   chan struct{}
	waiting *atomic.Int32
	// failures bounds those with wrong signatures by address.
	failures *ratelimit.Limiter
}

func newWork(failures ratelimit.Rate) work {
	return work{
		slots: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2)), waiting: new(atomic.Int32),
		failures: ratelimit.New(ratelimit.Options{Reads: failures}),
	}
}

// begin waits until one more may be verified; done must be called then. It fails with
// auth.ErrTooManyTokens.
func (w *work) begin(address string) (done func(), err error) {
	if d := w.failures.Peek(ratelimit.Network(address), ratelimit.Read); !d.OK {
		return nil, fmt.Errorf("%w of this address have wrong signatures: --login-rate-address bounds them", auth.ErrTooManyTokens)
	}
	defer w.waiting.Add(-1)
	if w.waiting.Add(1) > waitingMax {
		return nil, fmt.Errorf("%w wait to be verified: at most %d, which is fixed", auth.ErrTooManyTokens, waitingMax)
	}
	w.slots <- struct{}{}
	return func() { <-w.slots }, nil
}

// wrong counts a wrong signature.
func (w *work) wrong(address string) { w.failures.Allow(ratelimit.Network(address), ratelimit.Read, 1) }
