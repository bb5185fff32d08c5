// Command pinstatus projects delivery reports and PIN attempts from NATS JetStream into
// status views in Redis, and answers questions about them over HTTP.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// exitCode is an error that has already been told to the user, and the status to exit
// with.
type exitCode int

func (c exitCode) Error() string { return fmt.Sprintf("exit status %d", int(c)) }

// failsWith annotates a command whose failures, misspelt flags among them, have an exit status
// of their own, because 1 says something else.
const failsWith = "fails-with"

func run(ctx context.Context, args []string, in *os.File, out, errOut *os.File) int {
	root := newRoot(in, out, errOut)
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	var code exitCode
	switch {
	case err == nil:
		return 0
	case errors.As(err, &code):
		return int(code)
	default:
		fmt.Fprint(errOut, tell(err))
		if asksJSON(cmd, args) {
			_ = newLines(out).Encode(map[string]string{"error": err.Error()})
		}
		if code, err := strconv.Atoi(cmd.Annotations[failsWith]); err == nil {
			return code
		}
		return 1
	}
}
