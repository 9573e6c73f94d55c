package bump

import (
	"bytes"
	"fmt"

	"github.com/apexlogic/apex/internal/bounded"
)

// maxWords bounds the words of one command line of a Dockerfile.
const maxWords = 50_000

// shellWord is one word of a command line.
type shellWord struct {
	text  string
	start int // where the text begins, behind its quote
	// plain says that the text stands in the file as it is, in one piece: then
	// places in it are places in the file.
	plain bool
	ends  bool // no word: the end of a command
}

// shellWords splits a command line as a shell does, as far as finding whole
// words needs it: quotes, and what ends a command. Words with escapes,
// substitutions or several pieces are not plain. The list form of RUN,
// ["pip", "install", …], gives the same words.
func shellWords(text []byte, at, end int) ([]shellWord, error) {
	var words []shellWord
	list := false
	for i := at; i < end; i++ {
		if !isSpace(text[i]) {
			list = text[i] == '['
			break
		}
	}
	// Between the elements of a list stands what is no text.
	between := func(c byte) bool { return list && (c == '[' || c == ']' || c == ',') }
	for i := at; i < end; {
		if len(words) >= maxWords {
			return nil, fmt.Errorf("%w of %d words", bounded.ErrTooMany, maxWords)
		}
		switch c := text[i]; {
		case isSpace(c) || between(c):
			i++
		case endsCommand(c):
			words = append(words, shellWord{ends: true})
			i++
		case c == '#' && !list:
			return words, nil // a comment
		default:
			w := shellWord{start: i, plain: true}
			stop := i
			for pieces := 0; i < end && !isSpace(text[i]) && !endsCommand(text[i]) && !between(text[i]); pieces++ {
				quoted := text[i] == '"' || text[i] == '\''
				w.plain = w.plain && pieces == 0
				if quoted {
					w.start, stop = i+1, quoteEnd(text, i, end)
					w.plain = w.plain && stop < end && !(text[i] == '"' && special(text[i+1:stop]))
					i = min(stop+1, end)
					continue
				}
				from := i
				for i < end && !isSpace(text[i]) && !endsCommand(text[i]) && !between(text[i]) && text[i] != '"' && text[i] != '\'' {
					if text[i] == '\\' {
						i++
					}
					i++
				}
				i = min(i, end)
				stop = i
				w.plain = w.plain && !special(text[from:i])
			}
			w.text = string(text[w.start:stop])
			words = append(words, w)
		}
	}
	return words, nil
}

// quoteEnd returns where the quote that begins at i ends: the place of the
// second one, or the end.
func quoteEnd(text []byte, i, end int) int {
	quote := text[i]
	for i++; i < end && text[i] != quote; i++ {
		if quote == '"' && text[i] == '\\' {
			i++
		}
	}
	return min(i, end)
}

// special reports whether a shell would put something else in the text's place.
func special(text []byte) bool { return bytes.ContainsAny(text, "\\$`*?{}") }

func endsCommand(c byte) bool {
	switch c {
	case '&', ';', '|', '(', ')', '\n', '<', '>':
		return true
	}
	return false
}
