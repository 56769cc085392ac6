package web

import (
	"crypto/tls"
	"net"
	"sync/atomic"

	"keywatch/web/reactor"
)

// What connections over TLS may negotiate: HTTP/2 is not supported, and browsers, which name the
// protocols of HTTP, get no connection where clients of Redis do, which name none.
const (
	protocolHTTP = "http/1.1"
	protocolRESP = "redis"
)

// restrictTLS returns the configuration of a listener for a protocol, nil for clear text.
func restrictTLS(config *tls.Config, protocol string) *tls.Config {
	if config == nil {
		return nil
	}
	used := restrict(config, protocol)
	if config.GetConfigForClient != nil {
		used.GetConfigForClient = (&tlsSource{get: config.GetConfigForClient, protocol: protocol}).config
	}
	return used
}

// restrict returns config as the server uses it: for one protocol, and without resumption, by which a
// client would keep what a certificate of a CA has proved that counts no longer.
func restrict(config *tls.Config, protocol string) *tls.Config {
	config = config.Clone()
	config.NextProtos, config.SessionTicketsDisabled = []string{protocol}, true
	return config
}

// A tlsSource restricts the configurations that a function returns, each of them once while it
// returns the same.
type tlsSource struct {
	get      func(*tls.ClientHelloInfo) (*tls.Config, error)
	protocol string
	last     atomic.Pointer[tlsPair]
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
		last = &tlsPair{given, restrict(given, s.protocol)}
		s.last.Store(last)
	}
	return last.used, nil
}

// heldBelow returns what the connection of a stream takes in memory on an event loop.
func heldBelow(nc net.Conn) int64 {
	if own, ok := nc.(*conn); ok && own.overTLS() {
		return reactor.TLSCost + int64(own.tls().CertificateCost())
	}
	return 0
}

// overTLS reports whether the request came over TLS to this server itself.
func (r *request) overTLS() bool {
	own := r.connection()
	return own != nil && own.overTLS()
}
