package app

import (
	"fmt"
	"net"

	"keywatch/web"
)

// A redisListener is where clients of Redis connect. nil is nowhere.
type redisListener struct{ net.Listener }

// openRESP opens the listener for clients of Redis, if there is to be one. Like the one for
// HTTP it is opened before any data is touched.
func (c ServeConfig) openRESP() (*redisListener, error) {
	if c.RESP == "" {
		return nil, nil
	}
	ln, err := net.Listen("tcp", c.RESP)
	if err != nil {
		return nil, fmt.Errorf("resp: %w", err)
	}
	if c.RESPStarted != nil {
		c.RESPStarted(ln.Addr())
	}
	return &redisListener{ln}, nil
}

func (l *redisListener) close() error {
	if l == nil {
		return nil
	}
	return l.Close()
}

// serve has the server answer, and sends what ended that before the server was stopped.
func (l *redisListener) serve(server *web.Server, failed chan<- error) {
	if l == nil {
		return
	}
	go func() {
		if err := server.ServeRESP(l); err != nil {
			failed <- fmt.Errorf("resp: %w", err)
		}
	}()
}
