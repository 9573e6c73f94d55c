package stream

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/media/body"
	"github.com/apexlogic/apex/verdict"
)

// joined puts a credential together, so that none stands in this file.
func joined(parts ...string) string { return strings.Join(parts, "") }

var (
	token = joined("gh", "p_", "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8")
	key   = joined("-----BEGIN ", "PRIVATE KEY-----\n", "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg", "\n")
)

func TestCredentialsAreFoundByTheirFormAndTalkAboutThemIsNot(t *testing.T) {
	for text, found := range map[string]bool{
		token:                                  true,
		"It is " + token + ".":                 true,
		joined("AK", "IA", "Q3EGRD5NBL7WZX2K"): true,
		key:                                    true,
		joined("sk-", "ant-", "api03-Zk3vQ9xw-LmN2pR7sT4uV6yB8cD1"): true,
		token[:30]:                             false, // not all of it
		"b" + token:                            false, // within a longer word
		joined("AK", "IA", "IOSFODNN7EXAMPLE"): false,
		"ghp_" + strings.Repeat("x", 36):       false,
		"A key begins with -----BEGIN PRIVATE KEY----- and then base64 follows.":                   false,
		joined("-----BEGIN ", "PUBLIC KEY-----\nMIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg"): false,
		"sk-learn-is-a-library-for-machine-learning-in-python":                                     false,
	} {
		if got := (Credentials{}).Judge([]byte(text), len(text)) == verdict.StreamCredential; got != found {
			t.Errorf("%.20q: found %v", text, got)
		}
	}
}

func TestACredentialInPiecesIsCutBeforeItsLastPiecePasses(t *testing.T) {
	quoted := func(s string) string { q, _ := json.Marshal(s); return string(q) }
	event := func(index int, delta string) string {
		return `data: {"choices":[{"index":` + string(rune('0'+index)) + `,"delta":{"content":` + delta + "}}]}\n\n"
	}
	escaped := func(s string) string { // every character as an escape
		var b strings.Builder
		b.WriteByte('"')
		for _, c := range []byte(s) {
			b.WriteString(`\u00` + string("0123456789abcdef"[c>>4]) + string("0123456789abcdef"[c&15]))
		}
		return b.String() + `"`
	}
	first, last := token[:20], token[20:]
	for _, tc := range []struct {
		name, text string
		passes     int // events
		cut        bool
	}{
		{"in one event", event(0, quoted(token)), 0, true},
		{"over two events", event(0, quoted("It is "+first)) + event(0, quoted(last)), 1, true},
		{"a character each", func() (s string) {
			for _, c := range token {
				s += event(0, quoted(string(c)))
			}
			return s
		}(), 39, true},
		{"in escapes", event(0, escaped(first)) + event(0, escaped(last)), 1, true},
		{"behind a character of many bytes", event(0, quoted("é€😀"+first)) + event(0, quoted(last)), 1, true},
		{"with another answer between", event(0, quoted(first)) + event(1, quoted("Hello")) + event(0, quoted(last)), 2, true},
		{"halves of two answers", event(0, quoted(first)) + event(1, quoted(last)), 2, false},
		{"over two events, with something between", event(0, quoted(first)) + event(0, quoted(" and ")) + event(0, quoted(last)), 3, false},
		{"a private key, line by line", event(0, quoted(key[:28])) + event(0, quoted(key[28:])), 1, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, chunk := range []int{1, 7, len(tc.text)} { // however it arrives
				var got flushed
				o := Options{Messages: body.OpenAIEvents(), Guards: []Guard{Credentials{}}}
				sum, err := passEvents(t.Context(), &got, io.NopCloser(&chunks{[]byte(tc.text), chunk}), o, OpenAIError("id"))
				if c, is := errors.AsType[*Cut](err); is != tc.cut || is && c.Code != verdict.StreamCredential || sum.Events != int64(tc.passes) {
					t.Fatalf("%d at a time: %v after %d events", chunk, err, sum.Events)
				}
				if told := strings.Contains(got.String(), string(verdict.StreamCredential)); told != tc.cut {
					t.Errorf("told: %v", told)
				}
			}
		})
	}
}

type flushed struct{ bytes.Buffer }

func (*flushed) Flush() {}

// chunks is a text that arrives in pieces.
type chunks struct {
	text []byte
	n    int
}

func (c *chunks) Read(p []byte) (int, error) {
	if len(c.text) == 0 {
		return 0, io.EOF
	}
	n := copy(p, c.text[:min(c.n, len(c.text))])
	c.text = c.text[n:]
	return n, nil
}

func FuzzCredentials(f *testing.F) {
	f.Add([]byte(token), 5)
	f.Add([]byte(key), 40)
	f.Fuzz(func(t *testing.T, text []byte, at int) {
		whole := (Credentials{}).Judge(text, len(text))
		if at = max(0, min(at, len(text))); whole == "" {
			return
		}
		if (Credentials{}).Judge(append(append([]byte(nil), text...), ' '), at) == "" {
			t.Error("a space behind it hides it")
		}
	})
}

func BenchmarkCredentials(b *testing.B) {
	text := []byte(strings.Repeat("The quick brown fox jumps over the lazy dog, again and again. ", 1000))
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	before := cpu()
	for b.Loop() {
		if (Credentials{}).Judge(text, len(text)) != "" {
			b.Fatal("found")
		}
	}
	b.ReportMetric(float64((cpu()-before).Nanoseconds())/float64(b.N)/float64(len(text)), "cpu-ns/B")
}
