package web

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/net/netutil"

	"keywatch/web/api"
)

// errStarting refuses what comes before there is a store.
var errStarting = &api.Failure{Code: api.CodeStarting, Detail: "the server is starting: it applies its log, or waits to join a cluster; its log says how far it is"}

// earlyGrace is how long the last answers may take.
const earlyGrace = 100 * time.Millisecond

// A lender is a listener that can be used for a while and given back, as those of TCP are.
type lender interface {
	net.Listener
	SetDeadline(t time.Time) error
}

// A lentListener ends with Close, and the listener under it stays open.
type lentListener struct{ lender }

// Close has Accept return.
func (l lentListener) Close() error { return l.SetDeadline(time.Unix(1, 0)) }

// ServeEarly answers the connections of ln, over TLS unless config is nil, in place of a Server that does not exist
// yet, until ctx ends: GET of /healthz with 200, and all else with 503 and code starting. Each connection has one
// request. ln stays open: what connects afterwards is for the server.
func ServeEarly(ctx context.Context, ln net.Listener, config *tls.Config, logger *slog.Logger) error {
	own, ok := ln.(lender)
	if !ok {
		return errors.New("answer early: the listener cannot be lent")
	}
	server := &http.Server{
		Handler: http.HandlerFunc(answerEarly), ReadHeaderTimeout: opsHeadTimeout, MaxHeaderBytes: maxHead,
		ErrorLog: slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
	}
	server.SetKeepAlivesEnabled(false)
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ended)
		grace, cancel := context.WithTimeout(context.Background(), earlyGrace)
		defer cancel()
		if server.Shutdown(grace) != nil {
			_ = server.Close()
		}
	})
	lent := netutil.LimitListener(lentListener{own}, opsConnections)
	if config != nil {
		lent = tls.NewListener(lent, restrictTLS(config, protocolHTTP))
	}
	err := server.Serve(lent)
	if stop() {
		return err // it failed before
	}
	<-ended
	return own.SetDeadline(time.Time{})
}

// answerEarly answers one request while there is no server.
func answerEarly(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/healthz" && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
		opsText(w, "ok\n")
		return
	}
	opsFail(w, errStarting)
}
