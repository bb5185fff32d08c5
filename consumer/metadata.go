package consumer

import (
	"fmt"
	"maps"
	"strconv"

	"github.com/nats-io/nats.go/jetstream"
)

// What pinstatus remembers of the event stream, in the stream's own metadata: it goes where
// the stream goes, into its backups too.
const (
	// metadataUniform is Stream.Uniform; 1 if absent.
	metadataUniform = "pinstatus.uniform"
	// metadataErased is the number of messages that erasures have removed, and deletions that
	// an operator has accepted; 0 if absent. It is raised before the messages go.
	metadataErased = "pinstatus.erased"
	// metadataAccepted is how many of these an operator has accepted; 0 if absent.
	metadataAccepted = "pinstatus.accepted"
)

// metadataNumber reads a number out of a stream's metadata.
func metadataNumber(c *jetstream.StreamConfig, name string, absent uint64) (uint64, error) {
	text, ok := c.Metadata[name]
	if !ok {
		return absent, nil
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("stream %s: metadata %s is %q, want a number", c.Name, name, text)
	}
	return n, nil
}

// withMetadata is the configuration with one entry of its metadata replaced.
func withMetadata(c jetstream.StreamConfig, name string, value uint64) jetstream.StreamConfig {
	c.Metadata = maps.Clone(c.Metadata)
	if c.Metadata == nil {
		c.Metadata = map[string]string{}
	}
	c.Metadata[name] = strconv.FormatUint(value, 10)
	return c
}
