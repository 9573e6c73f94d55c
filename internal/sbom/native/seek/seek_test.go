package seek

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"testing"

	"github.com/apexlogic/apex/internal/sbom/extract"
)

// streamed is a file of that many bytes that counts how often it is begun.
func streamed(size int) (*extract.File, *int, []byte) {
	data := make([]byte, size)
	for i := range data {
		data[i] = byte(i * 7)
	}
	begun := 0
	return &extract.File{Path: "f", Size: int64(size),
		Open: func() (io.ReadCloser, error) { begun++; return io.NopCloser(bytes.NewReader(data)), nil },
		At:   func() (extract.ReaderAtCloser, error) { return nil, fs.ErrInvalid },
	}, &begun, data
}

func TestAStreamIsReadAtAnyOffset(t *testing.T) {
	for name, size := range map[string]int{"small": 1000, "large": maxSmall + 1000} {
		t.Run(name, func(t *testing.T) {
			f, begun, data := streamed(size)
			r, err := Open(f)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			for _, off := range []int{0, 10, 500, size - 5, 20, 21} {
				buf := make([]byte, 10)
				n, err := r.ReadAt(buf, int64(off))
				want := data[off:min(off+10, size)]
				if !bytes.Equal(buf[:n], want) || (n < 10) != errors.Is(err, io.EOF) {
					t.Errorf("at %d: %d bytes and %v", off, n, err)
				}
			}
			if _, err := r.ReadAt(make([]byte, 1), int64(size)); !errors.Is(err, io.EOF) {
				t.Errorf("at the end: %v", err)
			}
			if _, err := r.ReadAt(make([]byte, 1), -1); err == nil {
				t.Error("a negative offset was read")
			}
			// A small one is kept. A large one goes back three times: to 10 from
			// behind the first ten bytes is forward, to 20 and 21 is back.
			if want := map[string]int{"small": 1, "large": 3}[name]; *begun != want {
				t.Errorf("begun %d times, want %d", *begun, want)
			}
		})
	}
}

func TestAStreamIsNotBegunForever(t *testing.T) {
	f, begun, _ := streamed(maxSmall + 1)
	r, err := Open(f)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	buf := make([]byte, 1)
	for i := range maxRewinds + 1 {
		if _, err := r.ReadAt(buf, 0); err != nil {
			t.Fatalf("%d: %v", i, err)
		}
	}
	if _, err := r.ReadAt(buf, 0); err == nil || *begun != maxRewinds+1 {
		t.Errorf("begun %d times, error %v", *begun, err)
	}
}

func TestAFileThatReadsAtOffsetsIsUsedAsItIs(t *testing.T) {
	f, begun, _ := streamed(100)
	f.At = func() (extract.ReaderAtCloser, error) { return memory("abc"), nil }
	r, err := Open(f)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	buf := make([]byte, 1)
	if _, err := r.ReadAt(buf, 1); err != nil || buf[0] != 'b' || *begun != 0 {
		t.Errorf("read %q, error %v, begun %d times", buf, err, *begun)
	}
	f.At = func() (extract.ReaderAtCloser, error) { return nil, fs.ErrPermission }
	if _, err := Open(f); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("error is %v", err)
	}
}

func TestAStreamThatIsLongerThanItSaysIsRefused(t *testing.T) {
	f, _, _ := streamed(maxSmall + 1)
	f.Size = 100
	if _, err := Open(f); err == nil {
		t.Error("it was kept in memory")
	}
}
