// Command dashboard serves a page that shows what is below sensors/, and passes
// the paths that the page needs on to a keywatch server.
package main

import (
	_ "embed"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"time"
)

//go:embed index.html
var page []byte

func main() {
	listen := flag.String("listen", "127.0.0.1:8080", "address to listen on")
	server := flag.String("server", "http://127.0.0.1:7070", "the keywatch server")
	flag.Parse()
	base, err := url.Parse(*server)
	if err != nil {
		log.Fatal(err)
	}
	ln, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("dashboard: http://%s\n", ln.Addr())
	s := &http.Server{Handler: routes(base), ReadHeaderTimeout: 10 * time.Second}
	log.Fatal(s.Serve(ln))
}

// routes serves the page, and the rest from the server. The Host stays what the
// browser named, so that the server can tell its own pages from others.
func routes(server *url.URL) http.Handler {
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(server)
		r.Out.Host = r.In.Host
	}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Write(page)
	})
	mux.Handle("/v1/", proxy)
	mux.Handle("/keywatch.js", proxy)
	return mux
}
