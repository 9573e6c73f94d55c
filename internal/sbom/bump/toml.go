package bump

import (
	"bytes"
	"fmt"

	"github.com/apexlogic/apex/internal/bounded"
)

// tomlText is a string of a TOML document.
type tomlText struct {
	path       []string // the tables' and the value's own keys; lists add nothing
	begin      int      // where its key begins, or itself in a list
	start, end int      // what is between the quotes
	listed     bool     // in a list
}

// tomlTexts goes through the strings that stand on one line and have no escape:
// of others, places in the text are not those in the file. It goes from
// character to character with a stack of its own, so that nesting costs
// nothing, and it is lenient: what is not valid TOML ends it with an error or
// gives texts that are none, which the caller's reading of them refuses.
func tomlTexts(data []byte, each func(tomlText) error) error {
	type level struct {
		list bool
		keys int // of the path when it was opened
	}
	var (
		table, path []string // path is the table's and the keys since
		open        []level
		keyAt       = -1
		value       bool // behind "=", or in a list
	)
	// reset goes back to the keys of the innermost table.
	reset := func() {
		keep := len(table)
		if n := len(open); n > 0 {
			keep = open[n-1].keys
			value = open[n-1].list
		} else {
			value = false
		}
		path, keyAt = path[:min(keep, len(path))], -1
	}
	for i := 0; i < len(data); {
		c := data[i]
		switch {
		case c == '\n':
			if len(open) == 0 {
				reset()
			}
			i++
		case c == '#':
			i += length(data[i:])
		case c == '"' || c == '\'':
			start, end, next, plain := tomlString(data, i)
			if !value {
				if keyAt < 0 {
					keyAt = i
				}
				path = append(path, string(data[start:end]))
			} else if plain {
				t := tomlText{path: path, begin: keyAt, start: start, end: end}
				if n := len(open); n > 0 && open[n-1].list || keyAt < 0 {
					t.begin, t.listed = i, true
				}
				if err := each(t); err != nil {
					return err
				}
			}
			i = next
		case !value && len(open) == 0 && c == '[' && len(path) == len(table):
			// The header of a table.
			table = table[:0]
			for i++; i < len(data) && data[i] != '\n' && data[i] != ']'; {
				switch {
				case data[i] == '"' || data[i] == '\'':
					start, end, next, _ := tomlString(data, i)
					table = append(table, string(data[start:end]))
					i = next
				case isBare(data[i]):
					n := bare(data[i:])
					table = append(table, string(data[i:i+n]))
					i += n
				default:
					i++
				}
				if len(table) > maxDepth {
					return fmt.Errorf("%w of %d levels", bounded.ErrTooDeep, maxDepth)
				}
			}
			path = append(path[:0], table...)
			for i < len(data) && data[i] == ']' {
				i++
			}
		case c == '=':
			value = true
			i++
		case value && (c == '[' || c == '{'):
			if len(open) == maxDepth {
				return fmt.Errorf("%w of %d levels", bounded.ErrTooDeep, maxDepth)
			}
			open = append(open, level{c == '[', len(path)})
			value = c == '['
			if c == '{' {
				keyAt = -1
			}
			i++
		case c == ']' || c == '}':
			if len(open) > 0 {
				open = open[:len(open)-1]
			}
			value = true // until the comma or the line's end
			i++
		case c == ',':
			reset()
			i++
		case !value && isBare(c):
			if keyAt < 0 {
				keyAt = i
			}
			n := bare(data[i:])
			path = append(path, string(data[i:i+n]))
			if len(path) > 2*maxDepth {
				return fmt.Errorf("%w of %d levels", bounded.ErrTooDeep, 2*maxDepth)
			}
			i += n
		default:
			i++
		}
	}
	return nil
}

func isBare(c byte) bool { return isAlphanumeric(c) || c == '-' || c == '_' }

func bare(data []byte) int {
	n := 0
	for n < len(data) && isBare(data[n]) {
		n++
	}
	return n
}

// tomlString returns what is between the quotes of the string at i, where it
// goes on behind it, and whether it is on one line without an escape. One that
// does not end goes to the end of its line, or of the document.
func tomlString(data []byte, i int) (start, end, next int, plain bool) {
	quote := data[i]
	if three := bytes.Repeat([]byte{quote}, 3); bytes.HasPrefix(data[i:], three) {
		j := i + 3
		for j < len(data) {
			switch {
			case data[j] == '\\' && quote == '"':
				j++
			case bytes.HasPrefix(data[j:], three):
				// Up to two quotes may belong to the text.
				j += 3
				for more := 0; more < 2 && j < len(data) && data[j] == quote; more++ {
					j++
				}
				return i + 3, j - 3, j, false
			}
			j++
		}
		return i + 3, max(i+3, len(data)), len(data), false
	}
	plain = true
	j := i + 1
	for j < len(data) && data[j] != quote && data[j] != '\n' {
		if data[j] == '\\' && quote == '"' {
			plain = false
			j++
		}
		j++
	}
	if j >= len(data) || data[j] == '\n' {
		j = min(j, len(data))
		return i + 1, j, j, false
	}
	return i + 1, j, j + 1, plain
}
