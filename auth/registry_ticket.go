package auth

import "fmt"

// Ticket returns a ticket for what the caller may watch. It fails with a *DeniedError for the first
// name that it may not.
func (r *Registry) Ticket(by By, info TicketInfo) (string, error) {
	if by.caller != nil && by.caller.kind == JWT {
		return "", errNotByJWT
	}
	if by.caller == nil || by.caller.kind != Key && by.caller.kind != Session {
		return "", fmt.Errorf("%w: only an API key or a session can make tickets", ErrBadRequest)
	}
	key, ok := r.table.newestTicketKey()
	if !ok {
		return "", fmt.Errorf("sign ticket: %w: there is no key", ErrNotFound)
	}
	if err := by.caller.Look().Stream(info.Keys, info.Prefixes); err != nil {
		return "", err
	}
	r.table.mu.RLock()
	info.Epoch = r.table.mu.epoch
	r.table.mu.RUnlock()
	info.Cred = by.caller.id
	text := key.Sign(info)
	if len(text) > TicketMax {
		return "", fmt.Errorf("%w: the names take more than a ticket of %d bytes", ErrBadRequest, TicketMax)
	}
	return text, nil
}

// Stream returns nil if all keys and prefixes may be watched, else a *DeniedError for the first
// that may not.
func (g *Grants) Stream(keys, prefixes []string) error {
	for i, key := range keys {
		for _, v := range [2]Verb{Read, Watch} {
			if !g.Key(v, key) {
				return denied(v, key, i)
			}
		}
	}
	for i, prefix := range prefixes {
		for _, v := range [2]Verb{Read, Watch} {
			if err := g.needUnder(v, prefix); err != nil {
				err.(*DeniedError).Index = len(keys) + i
				return err
			}
		}
	}
	return nil
}
