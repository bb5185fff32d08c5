package natstest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/pinstatus/pinstatus/consumer/natstest/child"
)

// Cluster is a NATS cluster of server processes with JetStream on disk, which can be killed
// one by one. It ends with the test.
type Cluster struct {
	Nodes []*Node

	tb      testing.TB
	connect []nats.Option
}

// ClusterOptions are what a cluster has beside what every one has.
type ClusterOptions struct {
	Config  string        // added to each node's configuration file
	Routes  string        // added to the file's block about the routes between nodes
	Connect []nats.Option // with which JetStream connects
}

// Node is one server of a Cluster. Its name is "n" and its index, from 0 on.
type Node struct {
	Name string
	URL  string

	tb     testing.TB
	binary string
	config string
	proc   *child.Process
}

// StartCluster builds nats-server from its module and runs so many of them, on an address of
// their own. Extra is added to each one's configuration file.
func StartCluster(tb testing.TB, nodes int, extra string) *Cluster {
	tb.Helper()
	return StartClusterWith(tb, nodes, ClusterOptions{Config: extra})
}

// StartClusterWith is StartCluster with options.
func StartClusterWith(tb testing.TB, nodes int, o ClusterOptions) *Cluster {
	tb.Helper()
	c := &Cluster{tb: tb, connect: o.Connect}
	binary := serverBinary(tb)
	ports := freePorts(tb, 2*nodes)
	var routes []string
	for i := range nodes {
		routes = append(routes, fmt.Sprintf("nats://%s:%d", clusterHost, ports[2*i+1]))
	}
	for i := range nodes {
		dir := tb.TempDir()
		n := &Node{
			Name: fmt.Sprintf("n%d", i), URL: fmt.Sprintf("nats://%s:%d", clusterHost, ports[2*i]),
			tb: tb, binary: binary, config: filepath.Join(dir, "nats.conf"),
		}
		text := fmt.Sprintf(`
server_name: %q
listen: "%s:%d"
max_payload: 1MB
jetstream { store_dir: %q, max_mem: 256MB, max_file: 4GB }
cluster { name: test, listen: "%s:%d", routes: [%s]
%s }
%s
`, n.Name, clusterHost, ports[2*i], filepath.Join(dir, "store"),
			clusterHost, ports[2*i+1], strings.Join(routes, ", "), o.Routes, o.Config)
		if err := os.WriteFile(n.config, []byte(text), 0o600); err != nil {
			tb.Fatal(err)
		}
		c.Nodes = append(c.Nodes, n)
		n.Start()
		tb.Cleanup(n.Kill)
	}
	c.Ready()
	return c
}

// clusterHost is not where tests take free ports: a killed server's ports stay free.
const clusterHost = "127.0.0.3"

// URL is all addresses, separated by commas.
func (c *Cluster) URL() string {
	var all []string
	for _, n := range c.Nodes {
		all = append(all, n.URL)
	}
	return strings.Join(all, ",")
}

// Ready waits until the cluster answers for JetStream.
func (c *Cluster) Ready() {
	c.tb.Helper()
	js := c.JetStream()
	defer js.Conn().Close()
	c.eventually("JetStream has a leader", func(ctx context.Context) error {
		_, err := js.AccountInfo(ctx)
		return err
	})
}

// JetStream opens a connection that reconnects for ever; its user closes it.
func (c *Cluster) JetStream(opts ...nats.Option) jetstream.JetStream {
	c.tb.Helper()
	opts = slices.Concat([]nats.Option{
		nats.MaxReconnects(-1), nats.ReconnectWait(20 * time.Millisecond), nats.RetryOnFailedConnect(true),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}),
	}, c.connect, opts)
	nc, err := nats.Connect(c.URL(), opts...)
	if err != nil {
		c.tb.Fatal(err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		c.tb.Fatal(err)
	}
	return js
}

// Leader is the node that leads a stream, once one does.
func (c *Cluster) Leader(js jetstream.JetStream, stream string) *Node {
	c.tb.Helper()
	var leader *Node
	c.eventually("stream "+stream+" has a leader", func(ctx context.Context) error {
		s, err := js.Stream(ctx, stream)
		if err != nil {
			return err
		}
		info := s.CachedInfo()
		if info.Cluster == nil || info.Cluster.Leader == "" {
			return errors.New("no leader")
		}
		for _, n := range c.Nodes {
			if n.Name == info.Cluster.Leader {
				leader = n
			}
		}
		return nil
	})
	return leader
}

func (c *Cluster) eventually(what string, holds func(context.Context) error) {
	c.tb.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		err := holds(ctx)
		cancel()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			c.tb.Fatalf("waited in vain until %s: %v", what, err)
		}
		<-time.After(20 * time.Millisecond)
	}
}

// Start starts a node that does not run, on the folder and ports that it had.
func (n *Node) Start() {
	n.tb.Helper()
	p, err := child.Start(exec.Command(n.binary, "-c", n.config)) //nolint:gosec,noctx // the test says what to run, and kills it itself
	if err != nil {
		n.tb.Fatalf("start nats-server: %v", err)
	}
	n.proc = p
	deadline := time.Now().Add(30 * time.Second)
	for {
		if n.healthy() {
			return
		}
		select {
		case <-p.Done:
			n.tb.Fatalf("nats-server ended at its start:\n%s", p.Stderr.Tail(30))
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			n.tb.Fatalf("nats-server does not answer:\n%s", p.Stderr.Tail(30))
		}
	}
}

// healthy reports whether the node listens for clients.
func (n *Node) healthy() bool {
	d := net.Dialer{Timeout: time.Second}
	conn, err := d.DialContext(context.Background(), "tcp", strings.TrimPrefix(n.URL, "nats://"))
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

// Kill ends the node at once. It may be called twice.
func (n *Node) Kill() { n.proc.Kill() }

// Pause freezes the node: its connections stay open and nothing answers, until Resume.
func (n *Node) Pause() {
	n.tb.Helper()
	if err := n.proc.Pause(); err != nil {
		n.tb.Fatal(err)
	}
}

// Resume ends a Pause.
func (n *Node) Resume() {
	n.tb.Helper()
	if err := n.proc.Resume(); err != nil {
		n.tb.Fatal(err)
	}
}

var server struct {
	once sync.Once
	path string
	err  error
}

// serverBinary builds nats-server of the version in go.mod, once for all tests of a binary.
// Go's cache keeps it between runs.
func serverBinary(tb testing.TB) string {
	tb.Helper()
	server.once.Do(func() { server.path, server.err = buildServer() })
	if server.err != nil {
		tb.Fatalf("build nats-server: %v", server.err)
	}
	return server.path
}

// buildServer builds nats-server into the folder of temporary files, under a name of its
// version: the next test binary finds it built.
func buildServer() (path string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-json", "github.com/nats-io/nats-server/v2").Output()
	if err != nil {
		return "", err
	}
	var module struct{ Version string }
	if err := json.Unmarshal(out, &module); err != nil {
		return "", err
	}
	dir := filepath.Join(os.TempDir(), "pinstatus-test-nats-server-"+module.Version)
	path = filepath.Join(dir, "nats-server")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	own, err := os.MkdirTemp(dir, "build") // another test binary may build it at the same time
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(own) }()
	built := filepath.Join(own, "nats-server")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", built, "github.com/nats-io/nats-server/v2") //nolint:gosec // a path of ours
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, os.Rename(built, path)
}

// freePorts are ports of the clusters' address that nobody listened on a moment ago.
func freePorts(tb testing.TB, n int) []int {
	tb.Helper()
	var ports []int
	for range n {
		l, err := new(net.ListenConfig).Listen(tb.Context(), "tcp", clusterHost+":0")
		if err != nil {
			tb.Fatal(err)
		}
		defer func() { _ = l.Close() }()
		addr, err := net.ResolveTCPAddr("tcp", l.Addr().String())
		if err != nil {
			tb.Fatal(err)
		}
		ports = append(ports, addr.Port)
	}
	return ports
}
