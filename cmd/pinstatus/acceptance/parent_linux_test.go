package acceptance

import (
	"os/exec"
	"syscall"
)

// dieWithParent has the system end the child with the thread that starts it, so that a test
// binary that is killed leaves none behind.
func dieWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
