package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"

	"go.uber.org/zap"
)

// An error is told once: in the log, or by main where people read.
func TestLogged(t *testing.T) {
	broken := errors.New("broken")
	tests := []struct {
		format string
		err    error
		logs   string // message
		tells  bool
	}{
		{"json", broken, "start failed", false},
		{"json", &partError{"projector", broken}, "failed", false},
		{"auto", broken, "start failed", false}, // a buffer is no terminal
		{"console", broken, "", true},
		{"json", nil, "", false},
	}
	for _, tt := range tests {
		var out bytes.Buffer
		o := &options{logLevel: "info", logFormat: tt.format}
		err := o.logged(&out, func(*zap.Logger) error { return tt.err })
		var line struct{ Msg, Error string }
		if out.Len() > 0 {
			if err := json.Unmarshal(out.Bytes(), &line); err != nil {
				t.Fatalf("%v in %s", err, out.String())
			}
		}
		if line.Msg != tt.logs || tt.logs != "" && line.Error != tt.err.Error() {
			t.Errorf("%s, %v: logged %q, want the message %q with the error", tt.format, tt.err, out.String(), tt.logs)
		}
		if got := errors.Is(err, broken); got != tt.tells || (err == nil) != (tt.err == nil) {
			t.Errorf("%s, %v: error %v is left to tell, want %t", tt.format, tt.err, err, tt.tells)
		}
	}
}
