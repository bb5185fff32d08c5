package publish

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"

	"github.com/pinstatus/pinstatus/consumer/event"
)

// line is one line of the input, without its end.
type line struct {
	number int // from 1
	text   []byte
}

// readLines sends the lines of in until it or ctx ends. Of a line too long for an event
// comes as much as shows that.
func readLines(ctx context.Context, in io.Reader, lines chan<- line) error {
	buffered := bufio.NewReaderSize(in, 64<<10)
	for number := 1; ; number++ {
		text, err := readLine(buffered)
		if number == 1 {
			text = bytes.TrimPrefix(text, []byte("\ufeff"))
		}
		if err == nil || len(text) > 0 {
			select {
			case lines <- line{number, bytes.TrimSpace(text)}:
			case <-ctx.Done():
				return nil
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}

// readLine reads up to and with the next line end, and keeps enough of it.
func readLine(r *bufio.Reader) ([]byte, error) {
	var text []byte
	for {
		part, err := r.ReadSlice('\n')
		if len(text) <= maxLine {
			text = append(text, part...)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return text, err
		}
	}
}

// maxLine leaves room for space around an event of the largest size.
const maxLine = event.MaxPayload + 4096
