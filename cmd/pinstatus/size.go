package main

import (
	"fmt"
	"strconv"
	"strings"
)

// size is a flag's number of bytes, which may be given in KiB, MiB or GiB.
type size int64

var sizeUnits = []struct {
	name  string
	bytes int64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}}

// String is the number in the largest unit that divides it.
func (s *size) String() string {
	for _, u := range sizeUnits {
		if *s != 0 && int64(*s)%u.bytes == 0 {
			return strconv.FormatInt(int64(*s)/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(*s), 10)
}

// Set reads a number.
func (s *size) Set(text string) error {
	unit := int64(1)
	for _, u := range sizeUnits {
		if rest, ok := strings.CutSuffix(text, u.name); ok {
			text, unit = rest, u.bytes
			break
		}
	}
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	if err != nil || n < 1 || n > (1<<62)/unit {
		return fmt.Errorf("want a number of bytes above 0, which may end in KiB, MiB or GiB")
	}
	*s = size(n * unit)
	return nil
}

// Type is the flag's kind.
func (s *size) Type() string { return "size" }
