package seal_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/apexlogic/apex/internal/seal"
)

const (
	context = "apex.test/v1"
	chunk   = 64 << 10
	tag     = 16
)

var (
	aad  = []byte("captioner/1")
	now  = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	want = seal.Expected{Context: context, AAD: aad, Now: now}
)

func key(t testing.TB) *seal.PrivateKey {
	t.Helper()
	k, err := seal.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// sealed returns an envelope that expires in an hour.
func sealed(t testing.TB, content []byte, recipients ...*seal.PrivateKey) []byte {
	t.Helper()
	return sealedWith(t, content, seal.Options{Context: context, AAD: aad, Expires: now.Add(time.Hour)}, recipients...)
}

func sealedWith(t testing.TB, content []byte, o seal.Options, recipients ...*seal.PrivateKey) []byte {
	t.Helper()
	var public []*seal.PublicKey
	for _, r := range recipients {
		public = append(public, r.Public())
	}
	var b bytes.Buffer
	w, err := seal.To(&b, public, o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func open(envelope []byte, k *seal.PrivateKey, want seal.Expected) ([]byte, error) {
	r, _, err := seal.Open(bytes.NewReader(envelope), k, want)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

func content(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + i/251)
	}
	return b
}

func TestWhatIsSealedIsOpenedByEachRecipient(t *testing.T) {
	a, b := key(t), key(t)
	for _, n := range []int{0, 1, chunk - 1, chunk, chunk + 1, 3 * chunk, 3*chunk + 5} {
		envelope := sealed(t, content(n), a, b)
		if bytes.Contains(envelope, []byte("\x00\x07\x0e\x15\x1c")) {
			t.Error("the content is readable")
		}
		for _, k := range []*seal.PrivateKey{a, b} {
			got, err := open(envelope, k, want)
			if err != nil || !bytes.Equal(got, content(n)) {
				t.Errorf("%d bytes: got %d, %v", n, len(got), err)
			}
		}
	}
}

func TestContentMayComeAndGoInAnyPieces(t *testing.T) {
	k := key(t)
	var b bytes.Buffer
	w, err := seal.To(&b, []*seal.PublicKey{k.Public()}, seal.Options{Context: context, AAD: aad})
	if err != nil {
		t.Fatal(err)
	}
	whole := content(2*chunk + 77)
	for from, n := 0, 1; from < len(whole); from, n = from+n, n*3 {
		if _, err := w.Write(whole[from:min(from+n, len(whole))]); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), w.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("more")); err == nil {
		t.Error("what is closed takes more")
	}
	r, h, err := seal.Open(iotest.HalfReader(&b), k, want)
	if err != nil {
		t.Fatal(err)
	}
	if !h.Expires.IsZero() || h.Context != context || len(h.Recipients) != 1 || h.Recipients[0] != k.ID() {
		t.Errorf("the header says %+v", h)
	}
	if err := iotest.TestReader(r, whole); err != nil {
		t.Error(err)
	}
}

func TestAChangedByteAnywhereIsFound(t *testing.T) {
	k := key(t)
	envelope := sealed(t, []byte("a photograph"), k)
	if _, err := open(envelope, k, want); err != nil {
		t.Fatal(err)
	}
	for at := range envelope {
		changed := bytes.Clone(envelope)
		changed[at] ^= 0x20
		if got, err := open(changed, k, want); err == nil {
			t.Fatalf("byte %d of %d was changed, and %q was opened", at, len(envelope), got)
		}
	}
}

func TestAnEnvelopeThatEndsEarlyOrLateIsFound(t *testing.T) {
	k := key(t)
	envelope := sealed(t, content(3*chunk), k)
	body := len(envelope) - 3*(chunk+tag)
	for _, n := range []int{0, 1, 11, 12, 40, body - 1, body, body + 1, body + tag, body + chunk + tag, body + chunk + tag + 1, body + 2*(chunk+tag), len(envelope) - 1} {
		if _, err := open(envelope[:n], k, want); err == nil {
			t.Errorf("%d bytes of %d are taken for an envelope", n, len(envelope))
		}
	}
	if _, err := open(append(bytes.Clone(envelope), 0), k, want); !errors.Is(err, seal.ErrChanged) {
		t.Errorf("a byte behind the end: %v", err)
	}
	if _, err := open(append(bytes.Clone(envelope), envelope[body:]...), k, want); !errors.Is(err, seal.ErrChanged) {
		t.Errorf("chunks behind the end: %v", err)
	}
}

func TestChunksInAnotherOrderAreFound(t *testing.T) {
	k := key(t)
	envelope := sealed(t, content(3*chunk+9), k)
	body := len(envelope) - 3*(chunk+tag) - 9 - tag
	one, two := envelope[body:body+chunk+tag], envelope[body+chunk+tag:body+2*(chunk+tag)]
	for name, parts := range map[string][][]byte{
		"swapped":  {two, one},
		"repeated": {one, one},
		"left out": {two},
	} {
		changed := bytes.Clone(envelope[:body])
		for _, p := range parts {
			changed = append(changed, p...)
		}
		changed = append(changed, envelope[body+2*(chunk+tag):]...)
		if _, err := open(changed, k, want); !errors.Is(err, seal.ErrChanged) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAHeaderFitsItsOwnContentOnly(t *testing.T) {
	k := key(t)
	one, two := sealed(t, []byte("one"), k), sealed(t, []byte("two"), k)
	at := len(one) - 3 - tag
	if _, err := open(append(bytes.Clone(one[:at]), two[at:]...), k, want); !errors.Is(err, seal.ErrChanged) {
		t.Errorf("another envelope's header: %v", err)
	}
}

func TestOnlyTheRightKeyOpens(t *testing.T) {
	k := key(t)
	envelope := sealed(t, []byte("x"), k)
	if _, err := open(envelope, key(t), want); !errors.Is(err, seal.ErrKey) {
		t.Errorf("another key: %v", err)
	}
	if _, err := open(envelope, k, want); err != nil {
		t.Errorf("its key: %v", err)
	}
}

func TestWhatAnEnvelopeBelongsToIsHeld(t *testing.T) {
	k := key(t)
	envelope := sealed(t, []byte("x"), k)
	for name, w := range map[string]seal.Expected{
		"another context": {Context: "apex.other/v1", AAD: aad, Now: now},
		"other data":      {Context: context, AAD: []byte("captioner/2"), Now: now},
		"no data":         {Context: context, Now: now},
	} {
		if _, err := open(envelope, k, w); !errors.Is(err, seal.ErrChanged) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAnExpiredEnvelopeIsRefusedUnlessItIsAskedFor(t *testing.T) {
	k := key(t)
	envelope := sealed(t, []byte("x"), k)
	at := func(d time.Duration, expired bool) seal.Expected {
		return seal.Expected{Context: context, AAD: aad, Now: now.Add(d), Expired: expired}
	}
	if _, err := open(envelope, k, at(time.Hour-time.Second, false)); err != nil {
		t.Errorf("a second before: %v", err)
	}
	if _, err := open(envelope, k, at(time.Hour, false)); !errors.Is(err, seal.ErrExpired) {
		t.Errorf("then: %v", err)
	}
	if _, err := open(envelope, k, at(time.Hour, true)); err != nil {
		t.Errorf("then, when it is asked for: %v", err)
	}
	if _, err := open(envelope, k, seal.Expected{Context: context, AAD: aad}); err == nil {
		t.Error("an envelope is opened without anybody saying what time it is")
	}
	forever := sealedWith(t, []byte("x"), seal.Options{Context: context, AAD: aad}, k)
	if _, err := open(forever, k, at(1e6*time.Hour, false)); err != nil {
		t.Errorf("one that does not expire: %v", err)
	}
}

func TestWhatNoEnvelopeCanBeIsNotSealed(t *testing.T) {
	k := key(t).Public()
	many := make([]*seal.PublicKey, seal.MaxRecipients+1)
	for i := range many {
		many[i] = key(t).Public()
	}
	for name, c := range map[string]struct {
		to []*seal.PublicKey
		o  seal.Options
	}{
		"nobody":                {nil, seal.Options{}},
		"too many":              {many, seal.Options{}},
		"one twice":             {[]*seal.PublicKey{k, k}, seal.Options{}},
		"a context too long":    {[]*seal.PublicKey{k}, seal.Options{Context: strings.Repeat("c", 256)}},
		"an expiry before 1970": {[]*seal.PublicKey{k}, seal.Options{Expires: time.Unix(-1, 0)}},
	} {
		if _, err := seal.To(io.Discard, c.to, c.o); err == nil {
			t.Errorf("sealed for %s", name)
		}
	}
	if _, err := seal.To(io.Discard, many[:seal.MaxRecipients], seal.Options{Context: strings.Repeat("c", 255)}); err != nil {
		t.Error(err)
	}
}

func TestAWriterThatFailsIsToldOf(t *testing.T) {
	k := key(t)
	fails := errors.New("disk full")
	w, err := seal.To(&failing{after: 1, err: fails}, []*seal.PublicKey{k.Public()}, seal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(content(chunk + 1)); !errors.Is(err, fails) {
		t.Errorf("writing: %v", err)
	}
	if err := w.Close(); !errors.Is(err, fails) {
		t.Errorf("closing: %v", err)
	}
}

type failing struct {
	after int
	err   error
}

func (f *failing) Write(p []byte) (int, error) {
	if f.after--; f.after < 0 {
		return 0, f.err
	}
	return len(p), nil
}

func TestKeysAreReadAsTheyWereWritten(t *testing.T) {
	k := key(t)
	text, err := k.PEM()
	if err != nil {
		t.Fatal(err)
	}
	again, err := seal.ParsePrivateKey(append([]byte("\n"), text...))
	if err != nil {
		t.Fatal(err)
	}
	public, err := seal.ParsePublicKey(k.Public().PEM())
	if err != nil {
		t.Fatal(err)
	}
	if again.ID() != k.ID() || public.ID() != k.ID() || len(k.ID()) != 16 {
		t.Errorf("ids %s, %s, %s", k.ID(), again.ID(), public.ID())
	}
	if got, err := open(sealed(t, []byte("x"), k), again, want); err != nil || string(got) != "x" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestAKeyThatIsNoneIsRefused(t *testing.T) {
	k := key(t)
	private, err := k.PEM()
	if err != nil {
		t.Fatal(err)
	}
	public := k.Public().PEM()
	for name, text := range map[string][]byte{
		"nothing":            nil,
		"no PEM":             []byte("apex"),
		"another type":       []byte("-----BEGIN PUBLIC KEY-----\nMAo=\n-----END PUBLIC KEY-----\n"),
		"the private key":    private,
		"cut off":            bytes.Replace(public, public[100:164], nil, 1),
		"two of them":        append(bytes.Clone(public), public...),
		"longer than a file": append(bytes.Clone(public), bytes.Repeat([]byte("\n"), 9000)...),
	} {
		_, err := seal.ParsePublicKey(text)
		if err == nil {
			t.Errorf("%s is taken for a public key", name)
		}
	}
	for name, text := range map[string][]byte{"the public key": public, "nothing": nil, "short": []byte("-----BEGIN APEX SEAL PRIVATE KEY-----\nMAo=\n-----END APEX SEAL PRIVATE KEY-----\n")} {
		if _, err := seal.ParsePrivateKey(text); err == nil {
			t.Errorf("%s is taken for a private key", name)
		}
	}
}

func TestAPrivateKeyDoesNotPrintItself(t *testing.T) {
	k := key(t)
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		if s := fmt.Sprintf(format, k); s != "private key "+k.ID() {
			t.Errorf("%s prints %q", format, s)
		}
	}
}

func FuzzReadHeader(f *testing.F) {
	k := key(f)
	envelope := sealed(f, []byte("x"), k)
	f.Add(envelope)
	f.Add(sealedWith(f, nil, seal.Options{}, k, key(f)))
	f.Add(envelope[:21])
	f.Add([]byte("apex-seal/1\n\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		h, err := seal.ReadHeader(r)
		if err != nil {
			if !errors.Is(err, seal.ErrMalformed) {
				t.Errorf("the error is %v", err)
			}
			return
		}
		if read := len(b) - r.Len(); read > 40<<10 || len(h.Recipients) == 0 || len(h.Recipients) > seal.MaxRecipients {
			t.Errorf("%d bytes were read, %d recipients", read, len(h.Recipients))
		}
		if got, err := open(b, k, want); err == nil && !bytes.Equal(b, envelope) {
			t.Errorf("%q was opened, which nobody sealed", got)
		}
	})
}

func BenchmarkSeal(b *testing.B) {
	k := key(b)
	for _, n := range []int{1 << 10, 1 << 20} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.SetBytes(int64(n))
			b.ReportAllocs()
			plain := content(n)
			for b.Loop() {
				w, err := seal.To(io.Discard, []*seal.PublicKey{k.Public()}, seal.Options{Context: context})
				if err != nil {
					b.Fatal(err)
				}
				if _, err := w.Write(plain); err != nil {
					b.Fatal(err)
				}
				if err := w.Close(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
