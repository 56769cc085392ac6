package web

import "keywatch/auth"

// certified returns the caller that the client's certificate proves, or the one without a credential if
// the client has shown none. Its chain and dates were verified by the handshake.
func (r *request) certified(table *auth.Table) (*auth.Caller, error) {
	own := r.connection()
	if own == nil || !own.overTLS() {
		return table.Anonymous(), nil
	}
	rare := own.needRare()
	if !rare.proved {
		rare.proved, rare.cert = true, own.tls().ClientCert()
	}
	if rare.cert == nil {
		return table.Anonymous(), nil
	}
	// One caller for all requests of a connection, as long as it is good.
	if rare.certified != nil && rare.certified.Good() == nil {
		return rare.certified, nil
	}
	who, err := table.ByCertificate(rare.cert)
	if rare.certified = nil; err == nil {
		rare.certified = who
	}
	return who, err
}
