package embed

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// ErrStoreLocked means that another server, of this process or of another one, uses the
// folder. Two on one folder would destroy each other's streams.
var ErrStoreLocked = errors.New("folder is in use by another server")

const lockName = "pinstatus.lock"

type dirLock struct{ file *os.File }

// lockDir takes the folder for this server. The operating system holds the lock and drops
// it when the process ends, however it ends, so the file that stays behind means nothing.
func lockDir(dir string) (*dirLock, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("embedded broker: lock: %w", err)
	}
	if err := lockFile(f); err != nil {
		return nil, errors.Join(fmt.Errorf("embedded broker: %s: %w", dir, err), f.Close())
	}
	return &dirLock{file: f}, nil
}

func (l *dirLock) release() error {
	if err := l.file.Close(); err != nil {
		return fmt.Errorf("embedded broker: unlock: %w", err)
	}
	return nil
}
