//go:build unix && !solaris && !aix

package embed

import (
	"errors"
	"os"
	"syscall"
)

// lockFile locks by flock, whose locks belong to the open file: a second server in the
// same process is kept out too.
func lockFile(f *os.File) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return ErrStoreLocked
	}
	return err
}
