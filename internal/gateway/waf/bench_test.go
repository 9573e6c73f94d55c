//go:build unix

package waf

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/clock"
)

func BenchmarkCheckOfARequestThatIsNew(b *testing.B) {
	w := newWAF(b, Strict(clock.System{}))
	r := chat()
	w.Check(r)
	b.ReportAllocs()
	done := reportCPU(b)
	for b.Loop() {
		w.results.clear()
		w.Check(r)
	}
	done()
}

func BenchmarkCheckOfARequestThatWasSeen(b *testing.B) {
	w := newWAF(b, Strict(clock.System{}))
	r := chat()
	w.Check(r)
	b.ReportAllocs()
	done := reportCPU(b)
	for b.Loop() {
		w.Check(r)
	}
	done()
}

// prose is what people write to a model, with the characters of ordinary text.
const prose = "Our claims team photographs damaged cars, and we'd like the captions to say which side was hit; " +
	"please keep them short (at most 20 words), factual & neutral. If you're unsure, say so - don't guess!\n"

func BenchmarkScore10KBOfProse(b *testing.B) {
	w := newWAF(b, Strict(clock.System{}))
	text := []byte(strings.Repeat(prose, 10<<10/len(prose)+1)[:10<<10])
	if s := w.Score(text); s.Score != 0 || !s.Complete {
		b.Fatalf("prose scores %+v", s)
	}
	b.ReportAllocs()
	b.SetBytes(int64(len(text)))
	done := reportCPU(b)
	for b.Loop() {
		w.results.clear()
		w.Score(text)
	}
	done()
}

func BenchmarkScore10KBThatWereSeen(b *testing.B) {
	w := newWAF(b, Strict(clock.System{}))
	text := []byte(strings.Repeat(prose, 10<<10/len(prose)+1)[:10<<10])
	w.Score(text)
	b.ReportAllocs()
	done := reportCPU(b)
	for b.Loop() {
		w.Score(text)
	}
	done()
}

func BenchmarkScoreASentence(b *testing.B) {
	w := newWAF(b, Strict(clock.System{}))
	text := []byte(prose)
	w.Score(text)
	b.ReportAllocs()
	done := reportCPU(b)
	for b.Loop() {
		w.results.clear()
		w.Score(text)
	}
	done()
}

func BenchmarkScoreSentencesThatAreNew(b *testing.B) {
	w := newWAF(b, Strict(clock.System{}))
	words, r := strings.Fields(prose), rand.New(rand.NewPCG(1, 2))
	b.ReportAllocs()
	done := reportCPU(b)
	for b.Loop() {
		var text strings.Builder
		for n := 40 + r.IntN(160); text.Len() < n; {
			text.WriteString(words[r.IntN(len(words))] + " ")
		}
		w.Score([]byte(text.String()))
	}
	done()
}

func BenchmarkScore10KBThatAreNew(b *testing.B) {
	w := newWAF(b, Strict(clock.System{}))
	words, r := strings.Fields(prose), rand.New(rand.NewPCG(1, 3))
	after := []string{" ", " ", " ", " ", " ", " ", " ", ", ", ". ", ".\n\n", "; ", "? "}
	text := func() []byte {
		var t strings.Builder
		for t.Len() < 10<<10 {
			t.WriteString(words[r.IntN(len(words))] + after[r.IntN(len(after))])
		}
		return []byte(t.String())
	}
	for range 300 { // the automata of RE2 grow with what they see
		w.Score(text())
	}
	b.ReportAllocs()
	b.SetBytes(10 << 10)
	done := reportCPU(b)
	for b.Loop() {
		w.Score(text())
	}
	done()
}

func BenchmarkCheckAnswerOfAChat(b *testing.B) {
	w := newWAF(b, Strict(clock.System{}))
	a := &Answer{Status: 200, Texts: [][]byte{[]byte(prose)}}
	for _, s := range []string{"chatcmpl-9f1c2b", "chat.completion", "captioner", "assistant", "stop", "fp_1"} {
		a.Structure = append(a.Structure, []byte(s))
	}
	if got := w.CheckAnswer(a); got.Score != 0 || got.Text != 0 || got.Partial {
		b.Fatalf("prose scores %+v", got)
	}
	b.ReportAllocs()
	done := reportCPU(b)
	for b.Loop() {
		w.CheckAnswer(a)
	}
	done()
}

func BenchmarkCheckAnswerOf10KBOfProse(b *testing.B) {
	w := newWAF(b, Strict(clock.System{}))
	a := &Answer{Status: 200, Structure: [][]byte{[]byte(strings.Repeat(prose, 10<<10/len(prose)+1)[:10<<10])}}
	if got := w.CheckAnswer(a); got.Score != 0 || got.Partial {
		b.Fatalf("prose scores %+v", got)
	}
	b.ReportAllocs()
	b.SetBytes(10 << 10)
	done := reportCPU(b)
	for b.Loop() {
		w.CheckAnswer(a)
	}
	done()
}

func BenchmarkNew(b *testing.B) {
	b.ReportAllocs()
	done := reportCPU(b)
	for b.Loop() {
		w, err := New(Strict(clock.System{}))
		if err != nil {
			b.Fatal(err)
		}
		w.Close()
	}
	done()
}
