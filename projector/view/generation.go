package view

// Generation is one whole set of views: one number of partitions, filled from the
// stream's start. The serving generation is written under GenerationKey; the zero
// Generation stands for none.
type Generation struct {
	Number     uint64 `json:"generation"`
	Partitions int    `json:"partitions"`
}
