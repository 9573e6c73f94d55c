package app

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// ErrServed is wrapped when another process serves the workspace.
var ErrServed = errors.New("another apex up serves this workspace")

// lockWorkspace holds the workspace for this process. The kernel lets go of it
// however the process ends.
func lockWorkspace(dir string) (unlock func(), err error) {
	path := filepath.Join(dir, folderState, "up.lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		defer f.Close()
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		held, _ := io.ReadAll(io.LimitReader(f, 64)) // for people
		return nil, fmt.Errorf("%w: %s, which is process %s; end it, or choose another folder with --workspace", ErrServed, dir, strings.TrimSpace(string(held)))
	}
	err = f.Truncate(0)
	if err == nil {
		_, err = fmt.Fprintln(f, os.Getpid())
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return func() { f.Close() }, nil
}

// listeners are where a workspace's Apex and its example are reached.
type listeners struct{ registry, api, gateway, captioner net.Listener }

func (l *listeners) close() {
	for _, one := range []net.Listener{l.registry, l.api, l.gateway, l.captioner} {
		if one != nil {
			one.Close()
		}
	}
}

func (l *listeners) endpoints() endpoints {
	return endpoints{
		Registry: l.registry.Addr().String(), API: l.api.Addr().String(),
		Gateway: l.gateway.Addr().String(), Captioner: l.captioner.Addr().String(),
	}
}

// listen takes the addresses of the last time where no others are asked for.
func (w Workspace) listen(o UpOptions) (l *listeners, err error) {
	before, _ := w.endpoints() // there are none the first time
	l = &listeners{}
	defer func() {
		if err != nil {
			l.close()
		}
	}()
	address, err := pick(o.RegistryAddress, before.Registry, DefaultRegistryAddress)
	if err != nil {
		return l, fmt.Errorf("--registry-address: %w", err)
	}
	if before.Registry != "" && address != before.Registry {
		return l, fmt.Errorf("the workspace's images are named after the registry %s, so it cannot listen on %s; leave --registry-address away, or make another workspace", before.Registry, address)
	}
	mend := "--registry-address 127.0.0.1:0 takes a free port"
	if before.Registry != "" {
		mend = "the workspace's images are named after it, so end the program that listens there"
	}
	if l.registry, err = listenAt("the registry", address, mend); err != nil {
		return l, err
	}
	if address, err = pick(o.APIAddress, before.API, DefaultAPIAddress); err != nil {
		return l, fmt.Errorf("--api-address: %w", err)
	}
	if l.api, err = listenAt("the HTTP API", address, "--api-address names another port"); err != nil {
		return l, err
	}
	if address, err = pick(o.GatewayAddress, before.Gateway, DefaultGatewayAddress); err != nil {
		return l, fmt.Errorf("--gateway-address: %w", err)
	}
	l.gateway, err = listenAt("the gateway", address, "--gateway-address names another port")
	if err != nil && o.GatewayAddress == "" { // nobody asked for that one
		l.gateway, err = listenAt("the gateway", anyPort, "")
	}
	if err != nil {
		return l, err
	}
	if address, err = pick("", before.Captioner, anyPort); err != nil {
		return l, err
	}
	if l.captioner, err = listenAt("the captioner", address, "the workspace's routes lead there, so end the program that listens there"); err != nil {
		return l, err
	}
	data, err := json.Marshal(l.endpoints())
	if err != nil {
		return l, err
	}
	return l, writeFile(w.endpointsFile(), data)
}

const anyPort = "127.0.0.1:0"

// A port that a workspace chooses is taken again at each start, and between two
// starts nobody holds it. Systems give connections that go out the ports from
// 32768 (Linux) or 49152 (IANA) on, so that one of those may be somebody's by then:
// what is chosen lies below them.
const (
	lowestPort, highestPort = 20000, 32767
	// choices is how often another one is tried before the system chooses.
	choices = 100
)

// listenAnywhere listens on a free port of the host, of those above if it can.
func listenAnywhere(host string) (net.Listener, error) {
	for range choices {
		port := strconv.Itoa(lowestPort + rand.IntN(highestPort-lowestPort+1))
		l, err := net.Listen("tcp", net.JoinHostPort(host, port))
		if err == nil {
			return l, nil
		}
		if !errors.Is(err, syscall.EADDRINUSE) {
			break
		}
	}
	return net.Listen("tcp", net.JoinHostPort(host, "0"))
}

// listen listens on the address; port 0 is a free one.
func listen(address string) (net.Listener, error) {
	if host, port, err := net.SplitHostPort(address); err == nil && port == "0" {
		return listenAnywhere(host)
	}
	return net.Listen("tcp", address)
}

func listenAt(what, address, mend string) (net.Listener, error) {
	l, err := listen(address)
	if err != nil {
		return nil, taken(what, address, err, mend)
	}
	return l, nil
}

// pick chooses between what is asked for, what was before, and the default.
func pick(asked, before, fallback string) (string, error) {
	if asked == "" {
		asked = fallback
		if before != "" {
			asked = before
		}
	}
	host, port, err := net.SplitHostPort(asked)
	if err != nil {
		return "", err
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return "", fmt.Errorf("%s is not a loopback address such as 127.0.0.1:5011", asked)
	}
	if port == "0" && before != "" {
		return before, nil
	}
	return asked, nil
}

func taken(what, address string, err error, mend string) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%s cannot listen on %s: another program does already; %s", what, address, mend)
	}
	return fmt.Errorf("%s cannot listen on %s: %w", what, address, err)
}
