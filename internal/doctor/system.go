package doctor

import "os/exec"

// look finds a program on the PATH.
func (x *examined) look(program string) (string, error) {
	if x.Look != nil {
		return x.Look(program)
	}
	return exec.LookPath(program)
}
