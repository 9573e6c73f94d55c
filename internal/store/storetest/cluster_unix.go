//go:build unix

package storetest

import (
	"bufio"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// The script starts the server, says so, and stops it when its standard input
// ends: that happens when the test process is gone, whatever became of it.
const script = `
bin=$1 data=$2 socket=$3
"$bin/pg_ctl" -D "$data" -s -w -t 60 -l "$data/log" \
	-o "-k '$socket' -c listen_addresses= -c fsync=off -c max_connections=60 -c shared_buffers=16MB" start >&2 || exit 1
echo ready
read _
"$bin/pg_ctl" -D "$data" -s -m immediate stop >&2
rm -rf "$socket"
`

// start makes a cluster in a temporary directory and runs it on a Unix socket
// there, with a password. It returns a URL for its superuser.
func start() (string, func(), error) {
	bin, err := programs()
	if err != nil {
		return "", nil, err
	}
	identity, err := unprivileged()
	if err != nil {
		return "", nil, err
	}
	// A socket's path has about 100 bytes, so t.TempDir's long ones do not do.
	dir, err := os.MkdirTemp("", "apexpg")
	if err != nil {
		return "", nil, err
	}
	remove := func() { _ = os.RemoveAll(dir) }
	u, stop, err := run(bin, dir, identity)
	if err != nil {
		remove()
		return "", nil, err
	}
	return u, func() { stop(); remove() }, nil
}

func run(bin, dir string, identity *syscall.SysProcAttr) (string, func(), error) {
	password, passwordFile := rand.Text(), filepath.Join(dir, "password")
	if err := os.WriteFile(passwordFile, []byte(password), 0o600); err != nil {
		return "", nil, err
	}
	if identity != nil {
		for _, path := range []string{dir, passwordFile} {
			if err := os.Chown(path, int(identity.Credential.Uid), int(identity.Credential.Gid)); err != nil {
				return "", nil, err
			}
		}
	}
	data := filepath.Join(dir, "data")
	initdb := exec.Command(filepath.Join(bin, "initdb"), "-D", data, "-U", "apex", "-E", "UTF8", "--locale=C",
		"-A", "scram-sha-256", "--pwfile", passwordFile, "--no-sync")
	initdb.Dir, initdb.SysProcAttr = dir, identity
	if out, err := initdb.CombinedOutput(); err != nil {
		return "", nil, fmt.Errorf("initdb: %w\n%s", err, out)
	}

	cmd := exec.Command("/bin/sh", "-c", script, "sh", bin, data, dir)
	cmd.Dir, cmd.SysProcAttr = dir, identity
	var diag strings.Builder
	cmd.Stderr = &diag
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return "", nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	stop := func() {
		_ = stdin.Close()
		_ = cmd.Wait()
	}
	if line, _ := bufio.NewReader(stdout).ReadString('\n'); line != "ready\n" {
		stop()
		log, _ := os.ReadFile(filepath.Join(data, "log"))
		return "", nil, fmt.Errorf("pg_ctl start: %s\n%s", diag.String(), log)
	}
	u := url.URL{Scheme: "postgres", User: url.UserPassword("apex", password), Path: "/postgres",
		RawQuery: url.Values{"host": {dir}}.Encode()}
	return u.String(), stop, nil
}

// programs returns the directory of initdb and pg_ctl: the newest version that
// Debian's packages put beside each other, or the one on the PATH.
func programs() (string, error) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	slices.SortFunc(found, func(a, b string) int { return version(b) - version(a) })
	if len(found) > 0 {
		return filepath.Dir(found[0]), nil
	}
	path, err := exec.LookPath("initdb")
	if err != nil {
		return "", fmt.Errorf("%w: set %s to the URL of a server, or install one (Debian: apt-get install postgresql)", errMissing, Env)
	}
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return "", err
	}
	return filepath.Dir(path), nil
}

func version(initdb string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(initdb))))
	return n
}

// unprivileged says as whom the server runs: PostgreSQL refuses to run as
// root, so a test that runs as root uses postgres or nobody.
func unprivileged() (*syscall.SysProcAttr, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.ParseUint(u.Uid, 10, 32)
		gid, gidErr := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(uidErr, gidErr); err != nil {
			return nil, err
		}
		return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, nil
	}
	return nil, fmt.Errorf("%w: PostgreSQL does not run as root, and there is no user postgres or nobody to run it as", errMissing)
}
