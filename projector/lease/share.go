package lease

import "slices"

// share is how many of the partitions a member should hold: all the same number, and the
// first ones of the list one more where that does not come out even. A member that is not
// on the list counts as on it.
func share(members []string, owner string, partitions int) int {
	i, found := slices.BinarySearch(members, owner)
	n := len(members)
	if !found {
		n++
	}
	fair := partitions / n
	if i < partitions%n {
		fair++
	}
	return fair
}
