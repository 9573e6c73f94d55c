package attest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
)

// maxBinary is the largest program that is hashed; hashing it takes a second.
const maxBinary = 512 << 20

// Peer is the process at the other end of a unix socket, as the kernel noted it
// when it connected.
type Peer struct{ PID, UID, GID int }

// Unix attests processes of this machine.
type Unix struct {
	// Hash has their programs hashed, for entries with unix:sha256. It reads the
	// program each time.
	Hash bool
}

// Attest establishes unix:uid and unix:gid as the kernel noted them, and
// unix:path and unix:sha256 of the program that the process runs now.
//
// The program is looked up by the process's number, which may pass to another
// process when the first one ends: its start and its owner are compared before
// and after. A path counts only when it leads to the same file here: a container
// may have anything under the name.
func (u Unix) Attest(p Peer) ([]Selector, error) {
	all := selector(nil, "unix", "uid", strconv.Itoa(p.UID))
	all = selector(all, "unix", "gid", strconv.Itoa(p.GID))
	if p.PID <= 0 {
		return all, nil // of another PID namespace: only the kernel's word counts
	}
	proc := "/proc/" + strconv.Itoa(p.PID)
	began, err := startOf(proc)
	if err != nil {
		return nil, refuse("the process that asks has ended")
	}
	program, err := os.Open(proc + "/exe")
	if err != nil {
		return all, nil // of somebody else, whose program we may not see
	}
	defer program.Close()
	path, sum := "", ""
	if name, err := os.Readlink(proc + "/exe"); err == nil && sameFile(program, name) {
		path = name
	}
	if u.Hash {
		if sum, err = hashOf(program); err != nil {
			return nil, refuse("the program of the process that asks cannot be read")
		}
	}
	after, err := startOf(proc)
	if err != nil || after != began || ownerOf(proc) != p.UID {
		return nil, refuse("the process that asks has ended, or changed its user")
	}
	all = selector(all, "unix", "path", path)
	return selector(all, "unix", "sha256", sum), nil
}

// startOf is when the process began, in ticks since boot: with its number, this
// names it (proc(5), /proc/pid/stat field 22).
func startOf(proc string) (string, error) {
	stat, err := os.ReadFile(proc + "/stat")
	if err != nil {
		return "", err
	}
	// The name of the program, in parentheses, may hold anything.
	text := string(stat)
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	if len(fields) < 20 {
		return "", fmt.Errorf("%s/stat is not as expected", proc)
	}
	return fields[19], nil
}

// ownerOf is the process's effective user, -1 when it cannot be told.
func ownerOf(proc string) int {
	status, err := os.ReadFile(proc + "/status")
	if err != nil {
		return -1
	}
	for line := range strings.Lines(string(status)) {
		if ids, ok := strings.CutPrefix(line, "Uid:"); ok {
			if fields := strings.Fields(ids); len(fields) == 4 {
				if uid, err := strconv.Atoi(fields[1]); err == nil {
					return uid
				}
			}
		}
	}
	return -1
}

func sameFile(f *os.File, path string) bool {
	there, err := os.Stat(path)
	if err != nil {
		return false
	}
	here, err := f.Stat()
	return err == nil && os.SameFile(here, there)
}

func hashOf(f *os.File) (string, error) {
	h := sha256.New()
	n, err := io.Copy(h, io.LimitReader(f, maxBinary+1))
	if err != nil {
		return "", err
	}
	if n > maxBinary {
		return "", fmt.Errorf("it is larger than %d bytes", maxBinary)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// PeerOf asks the kernel who is at the other end of a connection.
func PeerOf(c *net.UnixConn) (Peer, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return Peer{}, err
	}
	return peerOf(raw)
}
