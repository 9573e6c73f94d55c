package image

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/internal/media/format"
	"github.com/apexlogic/apex/verdict"
)

// mpf is the directory's segment: 4 bytes of marker and length, 4 of its name,
// the header of 8, and three entries.
func mpf(count int, entries ...[2]int) []byte {
	b := binary.BigEndian
	d := []byte("MM\x00*\x00\x00\x00\x08\x00\x03")
	d = append(d, "\xb0\x00\x00\x07\x00\x00\x00\x040100"...)
	d = b.AppendUint32(append(d, "\xb0\x01\x00\x04\x00\x00\x00\x01"...), uint32(count))
	d = b.AppendUint32(append(d, "\xb0\x02\x00\x07"...), uint32(16*len(entries)))
	d = b.AppendUint32(d, 50)
	d = b.AppendUint32(d, 0)
	for _, e := range entries {
		d = b.AppendUint32(d, 0x030000)
		d = b.AppendUint32(b.AppendUint32(d, uint32(e[1])), uint32(e[0]))
		d = append(d, 0, 0, 0, 0)
	}
	return segment(0xe2, nameMPF+string(d))
}

// withSecond is a file of several pictures with a right directory.
func withSecond(first []byte, others ...[]byte) []byte {
	return withDirectory(first, nil, others...)
}

// withDirectory has the directory changed after it is right.
func withDirectory(first []byte, change func(entries [][2]int) [][2]int, others ...[]byte) []byte {
	size := len(first) + len(mpf(0, make([][2]int, len(others)+1)...))
	entries, at := [][2]int{{0, size}}, size-10 // the segment stands at 2, its header at 10
	for _, o := range others {
		entries = append(entries, [2]int{at, len(o)})
		at += len(o)
	}
	if change != nil {
		entries = change(entries)
	}
	return bytes.Join(append([][]byte{first[:2], mpf(len(entries), entries...), first[2:]}, others...), nil)
}

func TestAllPicturesThatADirectoryNamesAreWalked(t *testing.T) {
	first := carrying(t)["JPEG"]
	plain := bytes.Join([][]byte{first[:2], first[bytes.Index(first, []byte{0xff, 0xdb}):]}, nil)
	scripted := bytes.Join([][]byte{plain[:2], segment(0xfe, "<script>alert(1)</script>"), plain[2:]}, nil)
	zip := append([]byte("PK\x05\x06"), make([]byte, 18)...)
	at := func(i, offset, size int) func([][2]int) [][2]int {
		return func(e [][2]int) [][2]int { e[i][0] += offset; e[i][1] += size; return e }
	}
	for _, tc := range []struct {
		name    string
		data    []byte
		limits  func(*media.Limits)
		code    verdict.Code
		carries media.Carries
	}{
		{"a gain map", withSecond(plain, plain), nil, "", media.Thumbnail},
		{"three pictures", withSecond(plain, plain, plain), nil, "", media.Thumbnail},
		{"named in another order", withDirectory(plain, func(e [][2]int) [][2]int { e[1], e[2] = e[2], e[1]; return e }, plain, scripted), nil, "", media.Thumbnail | media.Personal | media.Script},
		{"a directory of the first one alone", withSecond(plain), nil, "", 0},
		{"a script in the second", withSecond(plain, scripted), nil, "", media.Thumbnail | media.Personal | media.Script},
		{"what the second carries", withSecond(plain, first), nil, "", media.Thumbnail | media.Personal | media.Location},
		{"a second one without a directory", append(bytes.Clone(plain), plain...), nil, verdict.MediaPolyglot, 0},
		{"more pictures than are named", append(withSecond(plain, plain), plain...), nil, verdict.MediaPolyglot, 0},
		{"an archive behind", append(withSecond(plain, plain), zip...), nil, verdict.MediaPolyglot, 0},
		{"an archive between", withDirectory(plain, at(1, len(zip), 0), append(bytes.Clone(zip), plain...)), nil, verdict.MediaPolyglot, 0},
		{"an archive in the second one's place", withDirectory(plain, nil, zip), nil, verdict.MediaMalformed, 0},
		{"an archive within the second one's length", withDirectory(plain, nil, append(bytes.Clone(plain), zip...)), nil, verdict.MediaMalformed, 0},
		{"an offset outside", withDirectory(plain, at(1, 1<<20, 0), plain), nil, verdict.MediaPolyglot, 0},
		{"an offset within the first", withDirectory(plain, at(1, -20, 0), plain), nil, verdict.MediaPolyglot, 0},
		{"a length outside", withDirectory(plain, at(1, 0, 1<<20), plain), nil, verdict.MediaMalformed, 0},
		{"pictures that overlap", withDirectory(plain, at(2, -4, 4), plain, plain), nil, verdict.MediaPolyglot, 0},
		{"the same picture twice", withDirectory(plain, func(e [][2]int) [][2]int { e[2] = e[1]; return e }, plain, plain), nil, verdict.MediaPolyglot, 0},
		{"a picture that is not there", withDirectory(plain, func(e [][2]int) [][2]int {
			e[0][1], e[1][0] = e[0][1]+16, e[1][0]+16 // the directory is one entry longer
			return append(e, [2]int{e[1][0] + e[1][1], 100})
		}, plain), nil, verdict.MediaMalformed, 0},
		{"a first one that ends elsewhere", withDirectory(plain, at(0, 0, 8), plain), nil, verdict.MediaMalformed, 0},
		{"a directory in the second", withSecond(plain, withSecond(plain, plain)), nil, verdict.MediaMalformed, 0},
		{"two directories", bytes.Join([][]byte{plain[:2], mpf(1, [2]int{0, 1}), withSecond(plain, plain)[2:]}, nil), nil, verdict.MediaMalformed, 0},
		{"a count that lies", bytes.Join([][]byte{plain[:2], mpf(9, [2]int{0, len(plain) + 74}), plain[2:]}, nil), nil, verdict.MediaMalformed, 0},
		{"no entries", bytes.Join([][]byte{plain[:2], mpf(1), plain[2:]}, nil), nil, verdict.MediaMalformed, 0},
		{"a directory that cannot be read", bytes.Join([][]byte{plain[:2], segment(0xe2, nameMPF+"II*\x00"), plain[2:]}, nil), nil, verdict.MediaMalformed, 0},
		{"a second one that is cut off", withDirectory(plain, nil, plain[:len(plain)-9]), nil, verdict.MediaMalformed, 0},
		{"as many pictures as are allowed", withSecond(plain, plain), func(l *media.Limits) { l.Frames = 2 }, "", media.Thumbnail},
		{"one more than are allowed", withSecond(plain, plain), func(l *media.Limits) { l.Frames = 1 }, verdict.MediaLimit, 0},
		{"as many pixels as are allowed", withSecond(plain, plain), func(l *media.Limits) { l.AllPixels = 2 * 97 * 61 }, "", media.Thumbnail},
		{"one pixel more", withSecond(plain, plain), func(l *media.Limits) { l.AllPixels = 2*97*61 - 1 }, verdict.MediaLimit, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := limits()
			if tc.limits != nil {
				tc.limits(l)
			}
			r := format.Open(bytes.NewReader(tc.data), "", l)
			defer r.Close()
			p := media.Part{}
			err := walkJPEG(r, &p)
			if tc.code == "" {
				if err != nil || p.Carries != tc.carries || p.Width != 97 || p.Frames != 1 {
					t.Errorf("%+v %v", p, err)
				}
				return
			}
			if media.CodeOf(err) != tc.code {
				t.Errorf("%v, want %s", err, tc.code)
			}
		})
	}
}

// FuzzMPF holds that a directory, whatever it says, lets in only what was walked.
func FuzzMPF(f *testing.F) {
	var t testing.T
	first := carrying(&t)["JPEG"]
	f.Add(withSecond(first, first))
	f.Add(withDirectory(first, func(e [][2]int) [][2]int { e[1][0] += 9; return e }, first))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := format.Open(bytes.NewReader(data), "", limits())
		defer r.Close()
		p := media.Part{}
		if !begins("\xff\xd8")(data) || walkJPEG(r, &p) != nil {
			return
		}
		if n := bytes.LastIndex(data, []byte{0xff, mEOI}); n+2 != len(data) {
			t.Fatal("something follows the last picture's end")
		}
	})
}
