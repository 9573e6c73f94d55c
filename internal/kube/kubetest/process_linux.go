package kubetest

import (
	"os/exec"
	"syscall"
)

// endWithUs has the kernel kill the child when the test binary dies, be it of a
// panic or of a signal.
func endWithUs(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
