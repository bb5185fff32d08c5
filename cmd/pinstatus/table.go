package main

import (
	"io"
	"os"
	"strings"
	"unicode/utf8"
)

// colour is one of a terminal's (ECMA-48, SGR).
type colour string

const (
	plain  colour = ""
	red    colour = "31"
	green  colour = "32"
	yellow colour = "33"
)

// coloured reports whether what is written to out may have colours: only for people at a
// terminal, who have not asked for none (no-color.org).
func coloured(out io.Writer, lookup func(string) string) bool {
	f, ok := out.(*os.File)
	return ok && isTerminal(f) && lookup("NO_COLOR") == "" && lookup("TERM") != "dumb"
}

// cell is a piece of text in a column. The text may be anybody's.
type cell struct {
	text   string
	colour colour
}

func cells(texts ...string) []cell {
	var row []cell
	for _, text := range texts {
		row = append(row, cell{text: text})
	}
	return row
}

// columns writes lines whose cells stand below each other, as far as they are known to be wide
// when a line is written.
type columns struct {
	out     io.Writer
	colours bool
	widths  []int
}

func newColumns(out io.Writer) *columns {
	return &columns{out: out, colours: coloured(out, os.Getenv)}
}

// fit makes the columns as wide as the cells of a line.
func (c *columns) fit(row []cell) {
	for i, cell := range row {
		if i == len(c.widths) {
			c.widths = append(c.widths, 0)
		}
		c.widths[i] = max(c.widths[i], utf8.RuneCountInString(printable(cell.text)))
	}
}

// write writes a line.
func (c *columns) write(row []cell) error {
	c.fit(row)
	var b strings.Builder
	gap := 0
	for i, cell := range row {
		text := printable(cell.text)
		if text != "" {
			b.WriteString(strings.Repeat(" ", gap))
			gap = 0
		}
		width := utf8.RuneCountInString(text)
		if c.colours && cell.colour != plain && text != "" {
			text = "\x1b[" + string(cell.colour) + "m" + text + "\x1b[0m"
		}
		b.WriteString(text)
		gap += c.widths[i] - width + 2
	}
	b.WriteByte('\n')
	_, err := io.WriteString(c.out, b.String())
	return err
}

// writeAll writes lines with columns that are wide enough for all of them.
func (c *columns) writeAll(rows [][]cell) error {
	for _, row := range rows {
		c.fit(row)
	}
	for _, row := range rows {
		if err := c.write(row); err != nil {
			return err
		}
	}
	return nil
}
