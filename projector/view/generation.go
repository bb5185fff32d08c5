package view

// Generation is one whole set of views: one number of partitions, filled from the
// stream's start or from a snapshot. The zero Generation stands for none.
type Generation struct {
	Number     uint64 `json:"generation"`
	Partitions int    `json:"partitions"`
}

// Serving is the record under GenerationKey: which generation is read and projected, and
// the ones beside it. The zero Serving stands for no record.
type Serving struct {
	Generation
	Next     Generation `json:"next,omitzero"`     // being filled by a rebuild, to serve next
	Previous Generation `json:"previous,omitzero"` // served before; its keys may be gone

	// Dropping is a generation that is done with, whose keys are being removed: it is named
	// here until all of them are, so that whoever is interrupted can be followed by another.
	Dropping Generation `json:"dropping,omitzero"`

	// Highest is the highest number that was ever given, where no generation named here has
	// it any more. A number is never used again: whoever has slept cannot take a new
	// generation for the one that it knew.
	Highest uint64 `json:"highest,omitzero"`
}

// NextNumber is the number of the next generation that is made.
func (s Serving) NextNumber() uint64 {
	return max(s.Number, s.Next.Number, s.Previous.Number, s.Dropping.Number, s.Highest) + 1
}
