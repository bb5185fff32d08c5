package main

import (
	"errors"
	"fmt"
	"net/http"
	"testing"
)

// Each condition has one line, also one that fails for several reasons at once.
func TestReadinessHasALineForEach(t *testing.T) {
	hung := errors.Join(errors.New("partition 0: i/o timeout"), errors.New("partition 1: i/o timeout"), errors.New("partition 2: i/o timeout"))
	a := &admin{}
	a.add(check{"redis", func() error { return nil }}, check{"leases", func() error { return fmt.Errorf("look: %w", hung) }})
	a.complete()
	want := "[+] redis: ok\n[-] leases: look: partition 0: i/o timeout; and 2 more\n"
	if status, text := a.readiness(); status != http.StatusServiceUnavailable || text != want {
		t.Errorf("%d and\n%swant 503 and\n%s", status, text, want)
	}
}
