package wire

// MaxBatch is how many views can be asked for at once.
const MaxBatch = 500

// BatchRequest asks for many views, of PIN codes or of accounts.
type BatchRequest struct {
	IDs []string `json:"ids"` // 1 to MaxBatch; one that stands there twice is answered twice
}

// PINBatch is the answer to a BatchRequest for PIN codes.
type PINBatch struct {
	Found   []PIN    `json:"found"`   // in the order asked
	Missing []string `json:"missing"` // ids of which nothing is known, in the order asked
}

// AccountBatch is the answer to a BatchRequest for accounts.
type AccountBatch struct {
	Found   []Account `json:"found"`   // in the order asked
	Missing []string  `json:"missing"` // ids of accounts that do not exist, in the order asked
}
