package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
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

// Whatever a command fails for, the last line of its output says so where JSON is asked for.
func TestFailuresInJSON(t *testing.T) {
	const away = "no NATS server answers at nats://127.0.0.1:1 (--nats-url)"
	for _, tt := range []struct {
		args string
		code int
		want string
	}{
		{"streams check --json --nats-url nats://127.0.0.1:1", 1, away},
		{"streams apply --json=true --nats-url nats://127.0.0.1:1", 1, away},
		{"deadletters list --json --nats-url nats://127.0.0.1:1", 1, away},
		{"partitions --json", 1, "--redis-url (or PINSTATUS_REDIS_URL) is required"},
		{"snapshot info --json", 1, "accepts 1 arg(s), received 0"},
		{"verify --nope --json", exitCannotTell, "unknown flag: --nope"},
		{"get pin --json 2B67", exitFailed, "a credential is required: --token-file, --api-key-file, PINSTATUS_TOKEN or PINSTATUS_API_KEY"},
	} {
		code, out, errOut := command(t, strings.Fields(tt.args)...)
		var got struct{ Error string }
		if err := json.Unmarshal([]byte(out), &got); err != nil || code != tt.code || got.Error != tt.want || errOut != "pinstatus: "+tt.want+"\n" {
			t.Errorf("%s: exit code %d, output %q, error %q; want %d and %q in both", tt.args, code, out, errOut, tt.code, tt.want)
		}
	}
	for _, args := range []string{"partitions", "partitions --json=false", "partitions --nope"} {
		if code, out, _ := command(t, strings.Fields(args)...); code != 1 || out != "" {
			t.Errorf("%s: exit code %d, output %q; want 1 and none", args, code, out)
		}
	}
}
