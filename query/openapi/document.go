package openapi

import (
	"bytes"
	_ "embed" // the document
)

//go:embed openapi.yaml
var document []byte

// Document is the description of the API, OpenAPI 3.1 in YAML.
func Document() []byte { return bytes.Clone(document) }
