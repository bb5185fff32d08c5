package conform

import (
	"encoding/json"
	"errors"
	"regexp"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// checkText checks the value of a parameter or of a header, which is text even where the
// schema wants a number.
func checkText(schema *jsonschema.Schema, text string) error {
	err := check(schema, text)
	if err != nil && isNumber(text) {
		return check(schema, json.Number(text))
	}
	return err
}

// check is whether a value is as the schema has it. The error says where it is not.
func check(schema *jsonschema.Schema, value any) error {
	err := schema.Validate(value)
	if err == nil {
		return nil
	}
	// The first line names the schema by its place, which says little.
	_, places, found := strings.Cut(err.Error(), "\n")
	if !found {
		return err
	}
	return errors.New(places)
}

func isNumber(text string) bool {
	ok, err := regexp.MatchString(`^-?[0-9]+(\.[0-9]+)?$`, text)
	return ok && err == nil
}
