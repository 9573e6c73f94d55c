package scanhub

import (
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// confine puts the program into a process group of its own, which is killed as
// a whole, and ends it with us. With walls it also gets namespaces: of
// processes, in which everything that it started ends with it, and of networks,
// in which there is none, unless its work needs one.
func confine(cmd *exec.Cmd, walls, network bool) {
	attr := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if walls {
		attr.Cloneflags = syscall.CLONE_NEWUSER | syscall.CLONE_NEWPID | syscall.CLONE_NEWIPC
		if !network {
			attr.Cloneflags |= syscall.CLONE_NEWNET
		}
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getuid(), HostID: os.Getuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getgid(), HostID: os.Getgid(), Size: 1}}
	}
	cmd.SysProcAttr = attr
}

// walls names what confine builds.
func walls(network bool) []string {
	list := []string{"own user, processes and shared memory"}
	if !network {
		list = append(list, "no network")
	}
	return list
}

func killGroup(cmd *exec.Cmd) {
	if cmd.Process != nil {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	}
}

// limit bounds a process and what it starts from now on. Data and not address
// space is bounded: runtimes reserve far more of that than they use.
func limit(pid int, l limits) error {
	for resource, value := range map[int]uint64{unix.RLIMIT_DATA: l.memory, unix.RLIMIT_FSIZE: l.file, unix.RLIMIT_CORE: 0} {
		if err := unix.Prlimit(pid, resource, &unix.Rlimit{Cur: value, Max: value}, nil); err != nil && err != unix.ESRCH {
			return err
		}
	}
	return nil
}
