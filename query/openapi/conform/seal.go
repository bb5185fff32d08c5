package conform

// seal forbids all members that are not described, in every schema of the document that
// describes an object and does not say itself what else may be in it.
func seal(part any) {
	switch part := part.(type) {
	case []any:
		for _, p := range part {
			seal(p)
		}
	case map[string]any:
		for _, p := range part {
			seal(p)
		}
		_, lists := part["properties"].(map[string]any)
		_, more := part["additionalProperties"]
		if part["type"] == "object" && lists && !more {
			part["additionalProperties"] = false
		}
	}
}
