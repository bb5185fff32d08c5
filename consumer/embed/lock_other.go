//go:build !unix || solaris || aix

package embed

import "os"

// lockFile does nothing: these systems have no flock in Go's standard library.
func lockFile(*os.File) error { return nil }
