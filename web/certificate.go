package web

import "keywatch/auth"

// certified returns the caller that the client's certificate proves, or the one without a credential if
// the client has shown none. Its chain and dates were verified by the handshake.
func (r *request) certified(table *auth.Table) (*auth.Caller, error) {
	state := r.tlsState()
	if state == nil || len(state.VerifiedChains) == 0 {
		return table.Anonymous(), nil
	}
	// One caller for all requests of a connection, as long as it is good.
	rare := r.connection().needRare()
	if rare.certified != nil && rare.certified.Good() == nil {
		return rare.certified, nil
	}
	who, err := table.ByCertificate(state.VerifiedChains[0][0])
	if rare.certified = nil; err == nil {
		rare.certified = who
	}
	return who, err
}
