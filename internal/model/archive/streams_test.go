package archive_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/model/scan"
)

func TestEachOfSeveralStreamsIsAFile(t *testing.T) {
	for _, name := range []string{"gzip", "xz", "zstd", "lz4"} {
		words, evil := stream(t, name, "plain words\n"), stream(t, name, payload)
		for what, b := range map[string][]byte{
			"second":         slices.Concat(words, evil),
			"last of twenty": append(bytes.Repeat(words, 19), evil...),
			"in the middle":  slices.Concat(words, evil, words),
		} {
			t.Run(name+", "+what, func(t *testing.T) {
				wantRules(t, examine(t, b), scan.Malicious, "test.evil")
			})
		}
		t.Run(name+", words alone", func(t *testing.T) {
			wantRules(t, examine(t, bytes.Repeat(words, 20)), scan.Clean)
		})
	}
	t.Run("zstd, behind a skippable frame", func(t *testing.T) {
		b := slices.Concat(stream(t, "zstd", "plain words\n"), []byte("\x50\x2a\x4d\x18\x03\x00\x00\x00abc"), stream(t, "zstd", payload))
		wantRules(t, examine(t, b), scan.Malicious, "test.evil")
	})
	t.Run("an archive cut into streams is one file", func(t *testing.T) {
		whole := string(tarFiles(t, "config.json", "{}", "weights.bin", noise(5000)))
		b := slices.Concat(stream(t, "gzip", whole[:1024]), stream(t, "gzip", whole[1024:]))
		wantRules(t, examine(t, b), scan.Clean)
	})
}

func TestStreamsInStreamsAreSuspicious(t *testing.T) {
	for _, codec := range []string{"gzip", "zstd", "xz"} {
		b := []byte("plain words\n")
		for n := 1; n <= 12; n++ {
			b = stream(t, codec, string(b))
			switch res := examine(t, b); {
			case n <= 3:
				wantRules(t, res, scan.Clean)
			default:
				wantRules(t, res, scan.Suspicious, "stream.nested")
			}
		}
	}
	mixed := stream(t, "gzip", string(stream(t, "xz", string(stream(t, "zstd", string(stream(t, "lz4", "plain words\n")))))))
	wantRules(t, examine(t, mixed), scan.Suspicious, "stream.nested")
	wantRules(t, examine(t, zipOf(part{name: "a.gz", content: string(stream(t, "gzip", string(stream(t, "gzip", "words")))), method: 8})), scan.Clean)
}

func TestBombsBehindLayersAndInPiecesAreFound(t *testing.T) {
	zeros := strings.Repeat("\x00", 1<<20)
	gz := string(stream(t, "gzip", zeros))
	for name, b := range map[string][]byte{
		"a gibibyte behind two layers": stream(t, "gzip", strings.Repeat(gz, 1024)),
		"the same with noise behind":   stream(t, "gzip", strings.Repeat(gz, 1024)+noise(1<<16)),
		"behind three":                 stream(t, "zstd", string(stream(t, "gzip", strings.Repeat(gz, 1024)))),
		"in a zip in a gzip": stream(t, "gzip", string(zipOf(part{name: "a.gz", content: strings.Repeat(gz, 1024)},
			part{name: "b", content: "x"}))),
	} {
		t.Run(name, func(t *testing.T) {
			res := examine(t, b)
			if res.Verdict < scan.Suspicious || !has(res, "archive.bomb") {
				t.Errorf("%s", said(res))
			}
		})
	}
	for name, content := range map[string]string{"zeros of 8 MiB": zeros + strings.Repeat(zeros, 7), "weights": noise(4 << 20)} {
		t.Run(name, func(t *testing.T) {
			wantRules(t, examine(t, stream(t, "gzip", content)), scan.Clean)
		})
	}
}

// tarFiles writes a tar of names and contents in turn.
func tarFiles(t testing.TB, files ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	for i := 0; i < len(files); i += 2 {
		b.Write(tarHeader(files[i], len(files[i+1])))
		b.WriteString(files[i+1])
		b.Write(make([]byte, (512-len(files[i+1])%512)%512))
	}
	b.Write(make([]byte, 1024))
	return b.Bytes()
}

func tarHeader(name string, size int) []byte {
	h := make([]byte, 512)
	copy(h, name)
	copy(h[100:], "0000644\x00")
	copy(h[124:], fmt.Sprintf("%011o\x00", size))
	copy(h[148:], "        ")
	h[156] = '0'
	copy(h[257:], "ustar\x0000")
	sum := 0
	for _, c := range h {
		sum += int(c)
	}
	copy(h[148:], fmt.Sprintf("%06o\x00 ", sum))
	return h
}

func TestAnArchiveInAMemberIsTheMembersBusiness(t *testing.T) {
	inner := zipOf(torch("tame pickle")...)
	for name, b := range map[string][]byte{
		"a torch archive at the end of a tar":  tarFiles(t, "./model_config.yaml", "a: 1\n", "./model_weights.ckpt", string(inner)),
		"two of them":                          tarFiles(t, "a.pt", string(inner), "b.pt", string(inner), "vocab.txt", "a\nb\n"),
		"one in a compressed tar":              stream(t, "gzip", string(tarFiles(t, "model_config.yaml", "a: 1\n", "model_weights.ckpt", string(inner)))),
		"a tar that is stored in a zip":        zipOf(part{name: "model.nemo", content: string(tarFiles(t, "w.ckpt", string(inner)))}),
		"a zip that is stored last in another": zipOf(part{name: "config.json", content: "{}"}, part{name: "model.pt", content: string(inner)}),
	} {
		t.Run(name, func(t *testing.T) {
			wantRules(t, examine(t, b), scan.Clean)
		})
	}
	evil := string(zipOf(torch(payload)...))
	wantRules(t, examine(t, tarFiles(t, "a.yaml", "a: 1\n", "w.ckpt", evil)), scan.Malicious, "test.evil")
	// outside of the members it is another reading of the file
	for name, b := range map[string][]byte{
		"behind the end":     append(tarFiles(t, "a.yaml", "a: 1\n"), inner...),
		"across two members": tarFiles(t, "a", string(inner[:len(inner)/2]), "b", string(inner[len(inner)/2:])),
	} {
		t.Run(name, func(t *testing.T) {
			if res := examine(t, b); res.Verdict < scan.Suspicious {
				t.Errorf("%s", said(res))
			}
		})
	}
}

func TestWhatStandsBesideTheMembersIsLookedAt(t *testing.T) {
	long := payload + strings.Repeat("x", 20)
	field := func(content string) []byte {
		return append([]byte{0x99, 0x99, byte(len(content)), byte(len(content) >> 8)}, content...)
	}
	tame := part{name: "a.txt", content: "words"}
	for name, b := range map[string][]byte{
		"the comment":               zipWith(zipTail{comment: long}, tame),
		"a field of the directory":  zipOf(part{name: "a.txt", content: "words", extra: field(long)}),
		"a field of the member":     zipOf(part{name: "a.txt", content: "words", lextra: field(long)}),
		"a field behind another":    zipOf(part{name: "a.txt", content: "words", lextra: append([]byte("UT\x05\x00\x01abcd"), field(long)...)}),
		"what is no field":          zipOf(part{name: "a.txt", content: "words", extra: []byte(long)}),
		"the comment of an archive": zipWith(zipTail{comment: string(stream(t, "gzip", long))}, tame),
	} {
		t.Run(name, func(t *testing.T) {
			wantRules(t, examine(t, b), scan.Malicious, "test.evil", "zip.aside")
		})
	}
	wantRules(t, examine(t, zipWith(zipTail{comment: string(stream(t, "gzip", "nothing but words"))}, tame)), scan.Suspicious, "zip.aside")
	for name, b := range map[string][]byte{
		"a comment of words": zipWith(zipTail{comment: "made by a person, on a Monday"}, tame),
		"padding":            zipOf(part{name: "a.txt", content: "words", lextra: field(strings.Repeat("Z", 60))}),
		"times of NTFS":      zipOf(part{name: "a.txt", content: "words", extra: append([]byte("\x0a\x00\x20\x00"), noise(32)...)}),
	} {
		t.Run(name, func(t *testing.T) {
			wantRules(t, examine(t, b), scan.Clean)
		})
	}
}

// linked sets the Unix mode of the first member of a zip.
func linked(b []byte, mode uint32) []byte {
	at := bytes.Index(b, []byte("PK\x01\x02"))
	b = bytes.Clone(b)
	b[at+40], b[at+41] = byte(mode), byte(mode>>8)
	return b
}

func TestLinksInZipsAreJudgedByWhereTheyLead(t *testing.T) {
	const link = 0o120777
	for target, verdict := range map[string]scan.Verdict{
		"../../../etc/passwd": scan.Malicious, "/etc/passwd": scan.Malicious, `..\..\secret`: scan.Malicious, "../x": scan.Malicious,
		`C:\Windows\x`: scan.Malicious, "weights-00001.bin": scan.Clean, "blobs/abc": scan.Clean,
	} {
		wantRules(t, examine(t, linked(zipOf(part{name: "weights.bin", content: target}), link)), verdict)
		wantRules(t, examine(t, linked(zipOf(part{name: "weights.bin", content: target, method: 8}), link)), verdict)
	}
	wantRules(t, examine(t, linked(zipOf(part{name: "a/b/w.bin", content: "../../blobs/x"}), link)), scan.Clean)
	wantRules(t, examine(t, linked(zipOf(part{name: "d", content: "blobs"}, part{name: "d/f", content: "x"}), link)), scan.Suspicious, "zip.link.through")
	for _, mode := range []uint32{0o060644, 0o020644, 0o010644} {
		wantRules(t, examine(t, linked(zipOf(part{name: "w", content: "x"}), mode)), scan.Suspicious, "zip.device")
	}
	wantRules(t, examine(t, linked(zipOf(part{name: "w", content: "../x"}), 0o100644)), scan.Clean)
}

func TestA7zIsJudgedByWhatItHolds(t *testing.T) {
	for name, one := range map[string]struct {
		b       []byte
		verdict scan.Verdict
		rule    string
	}{
		"plain files":           {sevenOf("lzma", "data.csv", "a,b\n1,2\n", true), scan.Clean, "7z.plain"},
		"stored":                {sevenOf("copy", "notes.txt", "words\n", false), scan.Clean, "7z.plain"},
		"what is named so":      {sevenOf("copy", "model.pkl", "words\n", false), scan.Suspicious, "7z.model"},
		"a torch archive":       {sevenOf("copy", "m", string(zipOf(torch("tame")...)), false), scan.Suspicious, "7z.model"},
		"a payload":             {sevenOf("deflate", "m", payload, true), scan.Malicious, "7z.model"},
		"something before it":   {append([]byte("words"), sevenOf("copy", "a.txt", "words\n", false)...), scan.Suspicious, "7z.prefix"},
		"something behind it":   {append(sevenOf("copy", "a.txt", "words\n", false), "words"...), scan.Suspicious, "7z.trailing"},
		"a header that is gone": {sevenOf("copy", "a.txt", strings.Repeat("words\n", 20), false)[:120], scan.Suspicious, "7z.broken"},
	} {
		t.Run(name, func(t *testing.T) { wantRules(t, examine(t, one.b), one.verdict, one.rule) })
	}
}

func FuzzStreamsAreToldApart(f *testing.F) {
	for _, name := range []string{"gzip", "xz", "zstd", "lz4"} {
		f.Add(slices.Concat(stream(f, name, "plain words\n"), stream(f, name, payload)))
	}
	f.Add([]byte("\x28\xb5\x2f\xfd\x20\x00\x01\x00\x00\x28\xb5\x2f\xfd\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if res := examine(t, b); has(res, "scan.internal") {
			t.Errorf("a scanner broke: %s", said(res))
		}
		r, err := gzip.NewReader(bytes.NewReader(b))
		if err == nil {
			if whole, err := io.ReadAll(io.LimitReader(r, 1<<20)); err == nil && strings.HasPrefix(string(whole), "EVIL") &&
				!has(examine(t, b), "test.evil") {
				t.Error("what a reader of all members reads was not looked at")
			}
		}
	})
}

func TestFramesThatAreSkippedHideNothing(t *testing.T) {
	skip := func(kind byte, n int) []byte {
		b := append([]byte{kind, 0x2a, 0x4d, 0x18, byte(n), byte(n >> 8), byte(n >> 16), 0}, make([]byte, n)...)
		return b
	}
	for _, codec := range []string{"zstd", "lz4"} {
		for name, before := range map[string][]byte{
			"an empty one":           skip(0x50, 0),
			"one":                    skip(0x5f, 13),
			"one beyond the head":    skip(0x53, 70_000),
			"three of several kinds": slices.Concat(skip(0x50, 1), skip(0x5a, 5000), skip(0x5f, 0)),
		} {
			t.Run(codec+" behind "+name, func(t *testing.T) {
				res := examine(t, slices.Concat(before, stream(t, codec, payload)))
				wantRules(t, res, scan.Malicious, "test.evil")
				if !slices.Equal(res.Formats, []string{codec}) {
					t.Errorf("want %s alone: %s", codec, said(res))
				}
				wantRules(t, examine(t, slices.Concat(before, stream(t, codec, "plain words\n"))), scan.Clean)
				wantRules(t, examine(t, slices.Concat(before, stream(t, codec, "plain words\n"), before, stream(t, codec, payload))), scan.Malicious, "test.evil")
				dear := formats(scan.Limits{}).Scan(t.Context(), scan.Bytes(slices.Concat(before, stream(t, codec, payload))).Dear(), scan.Options{})
				wantRules(t, dear, scan.Malicious, "test.evil")
			})
		}
	}
	for name, b := range map[string][]byte{
		"frames of no content alone": slices.Concat(skip(0x50, 3), skip(0x5f, 9)),
		"one that is cut off":        skip(0x50, 300)[:100],
		"other bytes behind one":     append(skip(0x50, 3), "other bytes"...),
	} {
		t.Run(name, func(t *testing.T) { wantRules(t, examine(t, b), scan.Unknown) })
	}
	wantRules(t, examine(t, bytes.Repeat(skip(0x50, 0), 70_000)), scan.Unscannable, "scan.budget")
}
