package repo

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// Git over SSH: the server runs git-upload-pack, and one exchange is one
// connection.

// maxDiag is how much of a server's error output is kept.
const maxDiag = 4 << 10

type sshWire struct {
	client  *ssh.Client
	session *ssh.Session
	in      io.WriteCloser
	out     io.Reader
	diag    *head
	ended   sync.Once // Wait is called once
	stop    func() bool
}

// dialSSH connects, recognises the server and starts git-upload-pack.
func (r *Remote) dialSSH(ctx context.Context) (*sshWire, error) {
	cred, err := r.credentials(ctx)
	if err != nil {
		return nil, err
	}
	port := r.url.Port()
	if port == "" {
		port = "22"
	}
	address := net.JoinHostPort(r.url.Hostname(), port)
	conf, err := r.sshConfig(address, cred)
	if err != nil {
		return nil, err
	}
	conn, err := r.connect(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	// The library knows no context: a closed connection ends all of its calls.
	w := &sshWire{stop: context.AfterFunc(ctx, func() { conn.Close() }), diag: &head{}}
	if err := w.start(conn, address, conf, r.url.Path); err != nil {
		w.stop()
		conn.Close()
		return nil, err
	}
	return w, nil
}

func (r *Remote) sshConfig(address string, cred Credentials) (*ssh.ClientConfig, error) {
	if r.opt.KnownHosts == "" {
		return nil, fmt.Errorf("%w: no file of known hosts is given: write one with ssh-keyscan, and compare its keys with those that the host publishes", ErrHostKey)
	}
	check, err := knownhosts.New(r.opt.KnownHosts)
	if err != nil {
		return nil, fmt.Errorf("%w: read the known hosts: %w", ErrHostKey, err)
	}
	conf := &ssh.ClientConfig{User: cred.User, HostKeyAlgorithms: knownAlgorithms(check, address)}
	conf.HostKeyCallback = func(host string, addr net.Addr, key ssh.PublicKey) error {
		if err := check(host, addr, key); err != nil {
			return fmt.Errorf("%w: %s shows %s: %w", ErrHostKey, host, ssh.FingerprintSHA256(key), err)
		}
		return nil
	}
	if conf.User == "" {
		if conf.User = r.url.User.Username(); conf.User == "" {
			conf.User = "git"
		}
	}
	if cred.Key != nil {
		signer, err := ssh.NewSignerFromSigner(cred.Key)
		if err != nil {
			return nil, errors.New("the SSH key has a type that SSH does not use")
		}
		conf.Auth = append(conf.Auth, ssh.PublicKeys(signer))
	}
	if cred.Password != "" {
		conf.Auth = append(conf.Auth, ssh.Password(cred.Password))
	}
	return conf, nil
}

// knownAlgorithms are those of the keys that are known of a host. A server has
// several keys; without this it might show one that nobody wrote down.
func knownAlgorithms(check ssh.HostKeyCallback, address string) []string {
	probe, err := ssh.NewPublicKey(ed25519.PublicKey(make([]byte, ed25519.PublicKeySize)))
	if err != nil {
		return nil
	}
	var known *knownhosts.KeyError
	if !errors.As(check(address, &net.TCPAddr{}, probe), &known) {
		return nil
	}
	var out []string
	for _, k := range known.Want {
		switch t := k.Key.Type(); t {
		case ssh.KeyAlgoRSA:
			out = append(out, ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256)
		default:
			out = append(out, t)
		}
	}
	return out
}

func (w *sshWire) start(conn net.Conn, address string, conf *ssh.ClientConfig, path string) error {
	c, channels, requests, err := ssh.NewClientConn(conn, address, conf)
	if err != nil {
		if !errors.Is(err, ErrHostKey) && strings.Contains(err.Error(), "unable to authenticate") {
			return ErrCredentials // the library's text lists the methods only
		}
		return err
	}
	w.client = ssh.NewClient(c, channels, requests)
	if w.session, err = w.client.NewSession(); err != nil {
		return err
	}
	w.session.Stderr = w.diag
	if w.in, err = w.session.StdinPipe(); err != nil {
		return err
	}
	if w.out, err = w.session.StdoutPipe(); err != nil {
		return err
	}
	// Servers that do not accept the variable speak version 0.
	_ = w.session.Setenv("GIT_PROTOCOL", "version=2")
	if strings.HasPrefix(path, "/~") { // in somebody's home directory
		path = path[1:]
	}
	return w.session.Start(uploadPack + " '" + strings.ReplaceAll(path, "'", `'\''`) + "'")
}

func (w *sshWire) advertisement(context.Context) (io.Reader, error) {
	return diagnosed{w}, nil
}

func (w *sshWire) request(_ context.Context, message []byte) (io.Reader, error) {
	if _, err := w.in.Write(message); err != nil {
		return nil, w.explain(err)
	}
	return diagnosed{w}, nil
}

func (w *sshWire) close(early bool) error {
	defer w.stop()
	if !early {
		_, _ = io.WriteString(w.in, flushPkt) // nothing more is wanted
		_ = w.in.Close()
	}
	_ = w.client.Close() // ends the session; the server may have ended it before
	return nil
}

// head keeps the beginning of what is written to it.
type head struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (h *head) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.buf.Write(p[:min(len(p), maxDiag-h.buf.Len())])
	return len(p), nil
}

// explain adds what the server wrote to its error output before it ended.
func (w *sshWire) explain(err error) error {
	w.ended.Do(func() { _ = w.session.Wait() }) // then all of it is here
	w.diag.mu.Lock()
	defer w.diag.mu.Unlock()
	if w.diag.buf.Len() == 0 {
		return err
	}
	return said(w.diag.buf.String())
}

// diagnosed explains an answer that ends before it began.
type diagnosed struct{ wire *sshWire }

func (d diagnosed) Read(p []byte) (int, error) {
	n, err := d.wire.out.Read(p)
	if n == 0 && errors.Is(err, io.EOF) {
		err = d.wire.explain(err)
	}
	return n, err
}
