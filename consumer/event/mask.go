package event

import (
	"strings"
	"unicode/utf8"
)

// shownCharacters is how much of a destination address is kept.
const shownCharacters = 3

// MaskTo is a destination address as views keep it: a star for each character but the last
// three, and for those too if there are no others.
func MaskTo(to string) string {
	n := utf8.RuneCountInString(to)
	if n <= shownCharacters {
		return strings.Repeat("*", n)
	}
	end := shownEnd(to)
	var b strings.Builder
	b.Grow(n - shownCharacters + len(end))
	for range n - shownCharacters {
		b.WriteByte('*')
	}
	b.WriteString(end)
	return b.String()
}

// shownEnd is the end, of a longer address, that MaskTo leaves.
func shownEnd(to string) string {
	i := len(to)
	for range shownCharacters {
		_, size := utf8.DecodeLastRuneInString(to[:i])
		i -= size
	}
	return to[i:]
}
