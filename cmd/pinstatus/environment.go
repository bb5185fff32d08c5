package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/pinstatus/pinstatus/cmd/pinstatus/config"
)

const variablePrefix = "PINSTATUS_"

// variable is the name of a flag's environment variable.
func variable(flag string) string {
	return variablePrefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// shared are the flags that have a variable: those of the process. What an event says is
// given on each command line, and so is leave to destroy something: neither must come from
// a variable that was forgotten.
func shared() *pflag.FlagSet {
	f, o := pflag.NewFlagSet("", pflag.ContinueOnError), &options{}
	o.listen(f)
	o.admin(f)
	o.embedded(f)
	o.nats(f, "")
	o.redis(f, "")
	o.configured(f, "")
	o.stream(f)
	o.limits(f)
	o.project(f)
	o.logging(f)
	new(asking).flags(f)
	return f
}

// lineOnly annotates a flag that is like a shared one by its name, and is taken from the command
// line alone.
const lineOnly = "line-only"

// fromEnvironment sets every shared flag of a command that the command line does not give
// from its variable. An empty variable is as good as none.
func fromEnvironment(flags *pflag.FlagSet, lookup func(string) string) error {
	var errs []error
	shared().VisitAll(func(s *pflag.Flag) {
		name := variable(s.Name)
		f, value := flags.Lookup(s.Name), lookup(name)
		if f == nil || f.Changed || value == "" || f.Annotations[lineOnly] != nil {
			return
		}
		if err := flags.Set(f.Name, value); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		}
		f.Annotations = map[string][]string{byVariable: {name}}
	})
	return errors.Join(errs...)
}

// byVariable annotates a flag that a variable has set, with the variable's name.
const byVariable = "by-variable"

// variablesUsed are the variables that have set flags; none of a process without.
func variablesUsed(flags *pflag.FlagSet) (names []string) {
	if flags == nil {
		return nil
	}
	flags.VisitAll(func(f *pflag.Flag) { names = append(names, f.Annotations[byVariable]...) })
	return names
}

// takesVariables reports whether any of a command's flags has a variable.
func takesVariables(flags *pflag.FlagSet) (takes bool) {
	shared().VisitAll(func(f *pflag.Flag) { takes = takes || flags.Lookup(f.Name) != nil })
	return takes
}

// unknownVariables says of each variable in environ that looks like one of ours, and is
// none, that it has no effect. It does not tell values: one may be a password.
func unknownVariables(environ []string) []string {
	var known, warnings []string // known without the prefix, which would make all of them alike
	shared().VisitAll(func(f *pflag.Flag) { known = append(known, strings.TrimPrefix(variable(f.Name), variablePrefix)) })
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		rest, ours := strings.CutPrefix(name, variablePrefix)
		if !ours || value == "" || slices.Contains(known, rest) {
			continue
		}
		warning := "unknown environment variable " + name + " has no effect"
		if like := config.Nearest(rest, known); like != "" {
			warning += ": did you mean " + variablePrefix + like + "?"
		}
		warnings = append(warnings, warning)
	}
	slices.Sort(warnings)
	return warnings
}
