//go:build unix

package main

import "syscall"

// descriptors is how many files, connections among them, this process may have open; 0 if it
// is not known. Go has raised the soft limit to the hard one.
func descriptors() uint64 {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0
	}
	return limit.Cur
}
