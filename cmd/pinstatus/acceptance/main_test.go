package acceptance

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// binary is the pinstatus under test.
var binary string

func TestMain(m *testing.M) { os.Exit(build(m.Run)) }

// build builds the binary, and then runs the tests. Under the race detector the binary has
// it as well; see process.races.
func build(run func() int) int {
	dir, err := os.MkdirTemp("", "pinstatus-acceptance")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	binary = filepath.Join(dir, "pinstatus")
	args := []string{"build", "-o", binary}
	if raceDetector {
		args = append(args, "-race")
	}
	cmd := exec.Command("go", append(args, "github.com/pinstatus/pinstatus/cmd/pinstatus")...)
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "build pinstatus:", err)
		return 1
	}
	return run()
}
