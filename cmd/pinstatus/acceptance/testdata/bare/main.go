// Command bare is what many waiting requests cost at least: a net/http server whose handler
// blocks until the client leaves, and does nothing else. With -begin it begins the answers
// to requests for a stream, which is what their clients wait for. It prints its address, and
// answers a request for /blocked with how many are.
package main

import (
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
)

func main() {
	begin := flag.Bool("begin", false, "begin the answers to requests for a stream")
	flag.Parse()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(l.Addr())
	var blocked atomic.Int64
	_ = http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/blocked" {
			fmt.Fprint(w, blocked.Load())
			return
		}
		if *begin && strings.HasSuffix(r.URL.Path, "/watch") {
			w.Header().Set("Content-Type", "text/event-stream")
			fmt.Fprint(w, "retry: 2000\n\n")
			_ = http.NewResponseController(w).Flush()
		}
		blocked.Add(1)
		<-r.Context().Done()
	}))
}
