package embed_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/pinstatus/pinstatus/consumer/embed"
)

func start(t *testing.T, o embed.Options) *embed.Server {
	t.Helper()
	s, err := embed.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, s) })
	return s
}

func stop(t *testing.T, s *embed.Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 30*time.Second)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		t.Error(err)
	}
}

// What was acknowledged is there after a restart on the same folder.
func TestStoresAcrossRestart(t *testing.T) {
	o := embed.Options{Addr: "127.0.0.1:0", StoreDir: filepath.Join(t.TempDir(), "not", "there", "yet")}
	s := start(t, o)
	nc, err := s.Connect()
	if err != nil {
		t.Fatal(err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}}); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		if _, err := js.Publish(t.Context(), "s", []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	nc.Close()
	stop(t, s)
	stop(t, s) // twice is fine
	if info, err := os.Stat(o.StoreDir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("folder: %v, %v, want one that only its owner can read", info.Mode(), err)
	}

	s = start(t, o)
	nc, err = s.Connect()
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if js, err = jetstream.New(nc); err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), "S")
	if err != nil {
		t.Fatal(err)
	}
	if got := stream.CachedInfo().State.Msgs; got != 10 {
		t.Errorf("messages: got %d, want 10", got)
	}
}

func TestAddressInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	o := embed.Options{Addr: l.Addr().String(), StoreDir: t.TempDir()}
	_, err = embed.Start(o)
	if !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), o.Addr) {
		t.Errorf("got %v, want address in use, naming it", err)
	}
	o.Addr = "127.0.0.1:0"
	start(t, o) // the folder is free
}

func TestOneServerForEachFolder(t *testing.T) {
	o := embed.Options{Addr: "127.0.0.1:0", StoreDir: t.TempDir()}
	first := start(t, o)
	_, err := embed.Start(o)
	if !errors.Is(err, embed.ErrStoreLocked) || !strings.Contains(err.Error(), o.StoreDir) {
		t.Errorf("got %v, want that the folder is locked, naming it", err)
	}
	stop(t, first)
	start(t, o)
}

func TestRefusesBadOptions(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]embed.Options{
		"no address":        {StoreDir: dir},
		"no port":           {Addr: "127.0.0.1", StoreDir: dir},
		"bad port":          {Addr: "127.0.0.1:x", StoreDir: dir},
		"large port":        {Addr: "127.0.0.1:70000", StoreDir: dir},
		"no folder":         {Addr: "127.0.0.1:0"},
		"file as folder":    {Addr: "127.0.0.1:0", StoreDir: file},
		"negative interval": {Addr: "127.0.0.1:0", StoreDir: dir, SyncInterval: -1},
	} {
		if s, err := embed.Start(o); err == nil {
			stop(t, s)
			t.Errorf("%s: no error", name)
		}
	}
}

func TestLogsThroughZap(t *testing.T) {
	core, logs := observer.New(zap.DebugLevel)
	s := start(t, embed.Options{Addr: "127.0.0.1:0", StoreDir: t.TempDir(), Log: zap.New(core)})
	stop(t, s)
	if logs.FilterMessageSnippet("Listening for client connections").FilterLevelExact(zap.DebugLevel).Len() == 0 {
		t.Error("no debug line of the server")
	}
	if n := logs.FilterLevelExact(zap.ErrorLevel).Len(); n > 0 {
		t.Errorf("%d lines at error", n)
	}
}

func TestShutdownGivesUpWithItsContext(t *testing.T) {
	s := start(t, embed.Options{Addr: "127.0.0.1:0", StoreDir: t.TempDir()})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Shutdown(ctx); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want nil or canceled", err)
	}
}
