package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"go.uber.org/zap"
)

// partError is the end of a part of a process that was running.
type partError struct {
	part string
	err  error
}

func (e *partError) Error() string { return e.part + ": " + e.err.Error() }
func (e *partError) Unwrap() error { return e.err }

// logged runs a service with the process' log, whose last line says why the service
// failed. People at a console are told in plain text instead, by main.
func (o *options) logged(out io.Writer, run func(*zap.Logger) error) error {
	log, err := o.logger(out)
	if err != nil {
		return err
	}
	for _, warning := range unknownVariables(os.Environ()) {
		log.Warn(warning)
	}
	if names := variablesUsed(o.flags); len(names) > 0 { // one may be left over from something else
		log.Info("set by environment variables", zap.Strings("variables", names))
	}
	err = run(log)
	if err == nil || o.format(out) == formatConsole {
		return err
	}
	message := "start failed"
	var part *partError
	if errors.As(err, &part) {
		message = "failed"
	}
	log.Error(message, zap.Error(err))
	return exitCode(1)
}

// oneLine is the text of an error where there is one line for it: of joined errors, the first and
// how many more there are.
func oneLine(err error) string {
	first, more, several := strings.Cut(err.Error(), "\n")
	if several {
		first += fmt.Sprintf("; and %d more", strings.Count(more, "\n")+1)
	}
	return first
}

// tell is the text of an error for people: each line, of which joined errors have several,
// says who speaks.
func tell(err error) string {
	var b strings.Builder
	for line := range strings.Lines(err.Error()) {
		b.WriteString("pinstatus: " + strings.TrimSuffix(line, "\n") + "\n")
	}
	return b.String()
}

// asksJSON reports whether a command line asks for JSON, also one that could not be read to its
// end. Its output then ends with what has failed.
func asksJSON(cmd *cobra.Command, args []string) bool {
	if f := cmd.Flags().Lookup("json"); f != nil && f.Changed {
		return f.Value.String() == "true"
	}
	return slices.Contains(args, "--json") || slices.Contains(args, "--json=true")
}
