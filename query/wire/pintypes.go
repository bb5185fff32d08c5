package wire

// PINTypes is the policy of a tenant, as far as clients have to know it.
type PINTypes struct {
	PINTypes      []PINType `json:"pinTypes"`
	UserPINType   string    `json:"userPinType"` // the type that a user's PIN check asks for
	PolicyVersion uint64    `json:"policyVersion"`
}

// PINType is one type of PIN that a tenant defines.
type PINType struct {
	Name                 string    `json:"name"`
	Description          string    `json:"description"`
	Mandatory            bool      `json:"mandatory"`
	MaxAttempts          int       `json:"maxAttempts"`          // failed attempts that lock the PIN
	LockDurationsSeconds []float64 `json:"lockDurationsSeconds"` // of the first lock, the second, and so on; the last one repeats
}
