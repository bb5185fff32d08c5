package main

import (
	"os"
	"strings"
	"testing"
)

func TestColumns(t *testing.T) {
	var out strings.Builder
	c := &columns{out: &out, colours: true}
	if err := c.writeAll([][]cell{cells("A", "LONG", "C"), {{"ä", red}, {"", red}, {"c\x1b[2J", green}}, {{"wider", plain}, {"d", yellow}}, nil}); err != nil {
		t.Fatal(err)
	}
	want := "A      LONG  C\n\x1b[31mä\x1b[0m            \x1b[32mc\\x1b[2J\x1b[0m\nwider  \x1b[33md\x1b[0m\n\n"
	if out.String() != want {
		t.Errorf("got\n%q\nwant\n%q", out.String(), want)
	}
}

func TestColoursOnlyAtTerminals(t *testing.T) {
	terminal, err := os.Open(os.DevNull) // a character device as well
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	plainFile, err := os.Create(file(t, ""))
	if err != nil {
		t.Fatal(err)
	}
	defer plainFile.Close()
	none := func(string) string { return "" }
	only := func(name, value string) func(string) string {
		return func(n string) string { return map[string]string{name: value}[n] }
	}
	if !coloured(terminal, none) || !coloured(terminal, only("TERM", "xterm")) {
		t.Error("a terminal has no colours")
	}
	if coloured(terminal, only("NO_COLOR", "1")) || coloured(terminal, only("TERM", "dumb")) || coloured(plainFile, none) || coloured(new(strings.Builder), none) {
		t.Error("colours where none were wanted, or where nobody sees them")
	}
}
