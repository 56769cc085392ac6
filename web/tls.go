package web

import (
	"crypto/tls"
	"net"
	"sync/atomic"

	"keywatch/web/reactor"
)

// tlsProtocols are what a connection over TLS may negotiate: HTTP/2 is not supported.
var tlsProtocols = []string{"http/1.1"}

// tlsConfig returns the configuration of the listener, nil for clear text.
func (o *Options) tlsConfig() *tls.Config {
	if o.TLS == nil {
		return nil
	}
	config := restrict(o.TLS)
	if o.TLS.GetConfigForClient != nil {
		config.GetConfigForClient = (&tlsSource{get: o.TLS.GetConfigForClient}).config
	}
	return config
}

// restrict returns config as the server uses it: HTTP/1.1 only, and without resumption, by which a
// client would keep what a certificate of a CA has proved that counts no longer.
func restrict(config *tls.Config) *tls.Config {
	config = config.Clone()
	config.NextProtos, config.SessionTicketsDisabled = tlsProtocols, true
	return config
}

// A tlsSource restricts the configurations that a function returns, each of them once while it
// returns the same.
type tlsSource struct {
	get  func(*tls.ClientHelloInfo) (*tls.Config, error)
	last atomic.Pointer[tlsPair]
}

// A tlsPair is a configuration as it was given, and as it is used.
type tlsPair struct{ given, used *tls.Config }

// config is a tls.Config's GetConfigForClient.
func (s *tlsSource) config(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	given, err := s.get(hello)
	if given == nil || err != nil {
		return nil, err
	}
	last := s.last.Load()
	if last == nil || last.given != given {
		last = &tlsPair{given, restrict(given)}
		s.last.Store(last)
	}
	return last.used, nil
}

// tlsState returns what is known of the connection's TLS, nil if it is in clear text. It is shared,
// and must not be changed.
func (c *conn) tlsState() *tls.ConnectionState {
	if c == nil || !c.overTLS() {
		return nil
	}
	rare := c.needRare()
	if rare.tls == nil {
		state := c.tls().ConnectionState()
		rare.tls = &state
	}
	return rare.tls
}

// tlsState returns what is known of the TLS that the request came over, nil if it came in clear text,
// from a proxy that does TLS say. It is shared with later requests of the connection.
func (r *request) tlsState() *tls.ConnectionState { return r.connection().tlsState() }

// heldBelow returns what the connection of a stream takes in memory on an event loop.
func heldBelow(nc net.Conn) int64 {
	if own, ok := nc.(*conn); ok && own.overTLS() {
		return reactor.TLSCost
	}
	return 0
}

// overTLS reports whether the request came over TLS to this server itself.
func (r *request) overTLS() bool {
	own := r.connection()
	return own != nil && own.overTLS()
}
