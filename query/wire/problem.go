package wire

// ProblemContentType is the media type of a Problem.
const ProblemContentType = "application/problem+json"

// DetailNoView is the Detail of the 404 that says that there is no view of a key: another 404
// says nothing of it.
const DetailNoView = "There is no such view."

// Problem is the body of every error answer: problem details of RFC 9457.
type Problem struct {
	Type   string `json:"type"`  // "about:blank": the status says it all
	Title  string `json:"title"` // the status' own text
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`

	// Position comes with 409: the stream sequence that has been processed for the key.
	Position *uint64 `json:"position,omitempty"`
}
