package conform

import (
	"bytes"
	"strings"
)

// parseEvents reads a stream of Server-Sent Events (HTML Living Standard, section 9.2) as
// the list of its events, each with event, id and data as far as they are given. As there,
// comments are no events, an event without data is none, and the last one is none either if
// it has no end.
func parseEvents(stream []byte) (any, error) {
	events := []any{}
	text := string(bytes.TrimPrefix(stream, []byte("\xef\xbb\xbf")))
	text = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text)
	blocks := strings.SplitAfter(text, "\n\n")
	for _, block := range blocks {
		if !strings.HasSuffix(block, "\n\n") {
			break
		}
		e := make(map[string]any)
		var data []string
		for line := range strings.SplitSeq(strings.TrimSuffix(block, "\n\n"), "\n") {
			name, value, _ := strings.Cut(line, ":")
			value = strings.TrimPrefix(value, " ")
			switch name {
			case "data":
				data = append(data, value)
			case "event", "id":
				e[name] = value
			}
		}
		if data != nil {
			e["data"] = strings.Join(data, "\n")
			events = append(events, e)
		}
	}
	return events, nil
}
