package scanhub

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"io"
	"os"
	"strings"
	"syscall"

	"github.com/apexlogic/apex/internal/bounded"
)

const (
	// fingerprintVersion is hashed into every fingerprint and changes when the
	// way they are made does, so that two ways are never compared.
	fingerprintVersion = "apexScan/v1"
	// fingerprintBytes is enough that two findings never meet by chance, and
	// short enough to stand in a file that people read.
	fingerprintBytes = 16
	// maxSource bounds the source files that are read for the lines around a
	// finding. Larger ones are generated or data; there the report's own
	// snippet stands for them.
	maxSource = 4 << 20
)

// digest hashes parts so that no two lists of parts read the same.
func digest(parts ...string) string {
	h := sha256.New()
	var n [4]byte
	for _, p := range append([]string{fingerprintVersion}, parts...) {
		binary.BigEndian.PutUint32(n[:], uint32(len(p)))
		h.Write(n[:])
		io.WriteString(h, p)
	}
	return hex.EncodeToString(h.Sum(nil)[:fingerprintBytes])
}

// source is the text of one file, line by line, without white space.
type source struct {
	lines []string
	// before and after are the nearest lines that are not blank, -1: none.
	before, after []int32
	// ordinals counts the equal windows above each line.
	ordinals []int32
}

// readSource reads a file of the tree; nil when there is none to read. The
// folder is opened as an os.Root: a link in a hostile tree leads nowhere else.
func readSource(tree *os.Root, name string) *source {
	if tree == nil || name == "" {
		return nil
	}
	// Opening a pipe that nobody writes to would wait for somebody who does.
	f, err := tree.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil
	}
	data, err := bounded.ReadAll(f, maxSource)
	if err != nil {
		return nil
	}
	return newSource(string(data))
}

func normalLines(text string) []string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = normal(line)
	}
	return lines
}

// normal is a line without its white space: a formatter changes nothing else.
func normal(line string) string {
	if strings.IndexFunc(line, isSpace) < 0 {
		return line
	}
	return strings.Map(func(r rune) rune {
		if isSpace(r) {
			return -1
		}
		return r
	}, line)
}

func isSpace(r rune) bool { return r == ' ' || r == '\t' || r == '\r' || r == '\f' || r == '\v' }

// newSource looks at every line once: a file may be one line two million times.
func newSource(text string) *source {
	s := &source{lines: normalLines(text)}
	n := len(s.lines)
	s.before, s.after, s.ordinals = make([]int32, n), make([]int32, n), make([]int32, n)
	for i, last := 0, int32(-1); i < n; i++ {
		s.before[i] = last
		if s.lines[i] != "" {
			last = int32(i)
		}
	}
	for i, next := n-1, int32(-1); i >= 0; i-- {
		s.after[i] = next
		if s.lines[i] != "" {
			next = int32(i)
		}
	}
	ids := map[string]int32{"": -1}
	number := make([]int32, n)
	for i, line := range s.lines {
		id, ok := ids[line]
		if !ok {
			id = int32(len(ids))
			ids[line] = id
		}
		number[i] = id
	}
	id := func(i int32) int32 {
		if i < 0 {
			return -1
		}
		return number[i]
	}
	seen := map[[3]int32]int32{}
	for i := range s.lines {
		k := [3]int32{id(s.before[i]), number[i], id(s.after[i])}
		s.ordinals[i] = seen[k]
		seen[k]++
	}
	return s
}

// at returns a line with the nearest lines around it that are not blank, and
// how many equal windows stand above it in the file.
//
// One line alone would take a finding that was accepted here for the same words
// somewhere else in the file. The same words twice are two findings; counting
// them in the file and not among the findings keeps them apart in the same way
// whichever tools ran.
func (s *source) at(line int) (window string, ordinal int, ok bool) {
	if s == nil || line < 1 || line > len(s.lines) {
		return "", 0, false
	}
	i := line - 1
	window = s.lines[i]
	if b := s.before[i]; b >= 0 {
		window = s.lines[b] + "\n" + window
	}
	if a := s.after[i]; a >= 0 {
		window += "\n" + s.lines[a]
	}
	return window, int(s.ordinals[i]), true
}
