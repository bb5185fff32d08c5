package consumer

// Assignment says which partitions are to be read. The number of partitions is that of the
// views that are made of them: a message's partition is computed from its subject, and only
// where the stream spreads keys over as many can the broker be asked for one partition alone.
type Assignment struct {
	Partitions int   // of how many
	Own        []int // the ones to read, sorted; all of them is read fastest
}
