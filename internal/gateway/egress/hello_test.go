package egress

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"errors"
	"io"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/verdict"
)

func newCertificate(t *testing.T, name string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// split cuts a greeting of one record into records of so many bytes.
func split(greeting []byte, n int) []byte {
	var out []byte
	for rest := greeting[recordHeader:]; len(rest) > 0; {
		part := rest[:min(n, len(rest))]
		rest = rest[len(part):]
		out = binary.BigEndian.AppendUint16(append(out, greeting[:3]...), uint16(len(part)))
		out = append(out, part...)
	}
	return out
}

// joined puts more into the record of a greeting.
func joined(greeting, more []byte) []byte {
	out := append(bytes.Clone(greeting), more...)
	binary.BigEndian.PutUint16(out[3:], uint16(len(out)-recordHeader))
	return out
}

// withExtension adds an empty extension at the end.
func withExtension(greeting []byte, kind uint16) []byte {
	out := binary.BigEndian.AppendUint16(bytes.Clone(greeting), kind)
	out = append(out, 0, 0)
	binary.BigEndian.PutUint16(out[3:], uint16(len(out)-recordHeader))
	body := len(out) - recordHeader - 4
	out[6], out[7], out[8] = byte(body>>16), byte(body>>8), byte(body)
	at := recordHeader + 4 + 2 + 32
	at += 1 + int(out[at])
	at += 2 + int(binary.BigEndian.Uint16(out[at:]))
	at += 1 + int(out[at])
	binary.BigEndian.PutUint16(out[at:], uint16(len(out)-at-2))
	return out
}

func TestAGreetingIsReadToItsEndAndNoFurther(t *testing.T) {
	good := greet(t, "example.com", nil)
	for what, b := range map[string][]byte{"whole": good, "in pieces": split(good, 100), "of TLS 1.2": greet(t, "example.com", func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 })} {
		r := bytes.NewReader(append(bytes.Clone(b), "behind"...))
		raw, name, err := readGreeting(r)
		if err != nil || name != "example.com" || !bytes.Equal(raw, b) || r.Len() != len("behind") {
			t.Errorf("%s: %q %v, %d bytes left", what, name, err, r.Len())
		}
	}
}

func TestGreetingsThatServersReadDifferentlyAreRefused(t *testing.T) {
	good := greet(t, "example.com", nil)
	changed := func(at int, b ...byte) []byte {
		out := bytes.Clone(good)
		copy(out[at:], b)
		return out
	}
	long := bytes.Clone(good)
	long[6] = 1 // 65,536 bytes more
	for what, b := range map[string][]byte{
		"an alert":                         changed(0, 21),
		"another protocol":                 changed(1, 2),
		"an empty record":                  changed(3, 0, 0),
		"a record that is too long":        changed(3, 0xff, 0xff),
		"a server's greeting":              changed(5, 2),
		"a greeting that is too long":      long,
		"an extension twice":               withExtension(withExtension(good, 0x4242), 0x4242),
		"encrypted client hello":           withExtension(good, extensionECH),
		"its older draft":                  withExtension(good, extensionESNI),
		"a second server name":             withExtension(good, extensionServerName),
		"an empty server name":             withExtension(greet(t, "", nil), extensionServerName),
		"a session id that is too long":    changed(recordHeader+4+2+32, 0xff),
		"a list of two server names":       bytes.Replace(good, []byte("\x00\x0e\x00\x00\x0bexample.com"), []byte("\x00\x0e\x00\x00\x03exa\x00\x00\x05e.com"), 1),
		"a server name of another kind":    bytes.Replace(good, []byte("\x00\x0e\x00\x00\x0bexample.com"), []byte("\x00\x0e\x01\x00\x0bexample.com"), 1),
		"a server name that is cut short":  bytes.Replace(good, []byte("\x00\x0e\x00\x00\x0bexample.com"), []byte("\x00\x0e\x00\x00\x0fexample.com"), 1),
		"HTTP":                             []byte("CONNECT evil.test:443 HTTP/1.1\r\n\r\n"),
		"a greeting as in the year of SSL": append([]byte{0x80, 0x2e, 1, 3, 1}, make([]byte, 64)...),
	} {
		if bytes.Equal(b, good) {
			t.Errorf("%s: the test changes nothing", what)
		}
		if _, name, err := readGreeting(bytes.NewReader(b)); media.CodeOf(err) != verdict.EgressHello {
			t.Errorf("%s: %q %v", what, name, err)
		}
	}
	if _, _, err := readGreeting(bytes.NewReader(withExtension(good, 0x4242))); err != nil {
		t.Errorf("an extension that nobody knows: %v", err)
	}
	if _, _, err := readGreeting(bytes.NewReader(good[:len(good)-1])); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a greeting that breaks off: %v", err)
	}
}

// FuzzGreeting holds the reader to crypto/tls: where that finds a server name,
// ours finds the same or refuses. What crypto/tls covers differs from run to run,
// so run it with -fuzzminimizetime 10x.
func FuzzGreeting(f *testing.F) {
	good := greet(f, "example.com", nil)
	f.Add(good)
	f.Add(split(good, 300))
	f.Add(withExtension(good, extensionECH))
	f.Add(withExtension(good, 0x4242))
	f.Add(greet(f, "", nil))
	f.Add(greet(f, "a.b", func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }))
	f.Add([]byte("\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		raw, name, err := readGreeting(bytes.NewReader(b))
		if err != nil {
			return
		}
		if !bytes.HasPrefix(b, raw) || len(raw) > maxGreeting+maxRecords*recordHeader {
			t.Fatal("what is passed on is not what was read")
		}
		theirs, reached := "", false
		stop := errors.New("stop")
		tls.Server(replay{recording{new(bytes.Buffer)}, bytes.NewReader(b)}, &tls.Config{GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
			theirs, reached = h.ServerName, true
			return nil, stop
		}}).Handshake()
		if reached && strings.ToLower(theirs) != name {
			t.Fatalf("crypto/tls reads %q, we %q", theirs, name)
		}
	})
}

// replay is a connection from which given bytes come.
type replay struct {
	recording
	from *bytes.Reader
}

func (r replay) Read(b []byte) (int, error) { return r.from.Read(b) }
