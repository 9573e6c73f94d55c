package lock

import (
	"bytes"
	"fmt"

	"github.com/pelletier/go-toml/v2"

	"github.com/apexlogic/apex/internal/bounded"
)

const (
	// maxTOML bounds TOML in bytes; uv.lock of large repositories has 5 MB.
	maxTOML = 32 << 20
	// maxTOMLDepth bounds brackets in brackets, and dots in one line outside of
	// strings. The parser calls itself for each, until the stack ends.
	maxTOMLDepth = 64
	maxTOMLDots  = 1024
	// maxTOMLWork bounds what the parser compares to find keys that are there
	// twice, a second of it. Poetry's oldest files, with 1,500 packages in one
	// table, need two thirds.
	maxTOMLWork = 200_000_000
)

// readTOML parses a document into v. Unknown keys are passed over.
func readTOML(data []byte, v any) (err error) {
	if len(data) > maxTOML {
		return fmt.Errorf("%w of %d bytes of TOML", bounded.ErrTooLarge, maxTOML)
	}
	if err := checkTOML(data); err != nil {
		return err
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("not valid TOML: the parser gave up: %v", p)
		}
	}()
	if err := toml.Unmarshal(data, v); err != nil {
		return fmt.Errorf("not valid TOML: %w", err)
	}
	return nil
}

// checkTOML looks at the nesting of a document, and at how much work its keys
// are, without parsing it.
func checkTOML(data []byte) error {
	var c tomlCost
	dots, start := 0, true // start: nothing but space on this line so far
	for i := 0; i < len(data); i++ {
		at := data[i]
		header := start && at == '[' && len(c.open) == 0
		start = at == '\n' || start && (at == ' ' || at == '\t' || at == '\r')
		switch at {
		case '[', '{':
			if header {
				i = c.header(data, i)
				break
			}
			if len(c.open) >= maxTOMLDepth {
				return fmt.Errorf("%w of %d levels", bounded.ErrTooDeep, maxTOMLDepth)
			}
			if at == '{' {
				c.entry() // without a search: its key was one
			}
			c.open = append(c.open, c.live())
		case ']', '}':
			c.open = c.open[:max(len(c.open)-1, 0)]
		case '=', '.':
			if at == '.' {
				dots++
			}
			c.key()
		case '\n', ',':
			dots = 0
		case '#':
			for i+1 < len(data) && data[i+1] != '\n' {
				i++
			}
		case '"', '\'':
			i = skipTOMLString(data, i)
		}
		if dots > maxTOMLDots {
			return fmt.Errorf("%w of %d parts of a key", bounded.ErrTooMany, maxTOMLDots)
		}
		if c.work > maxTOMLWork {
			return fmt.Errorf("%w that tables of TOML may have", bounded.ErrTooMany)
		}
	}
	return nil
}

// tomlCost reckons what the parser's search for keys that are there already
// costs: it goes through all that came after the table that the key is in. A
// further element of an array of tables makes it forget those of the last one.
type tomlCost struct {
	work    int
	lasting int    // keys that are never forgotten
	passing int    // keys in the present element of the array
	array   string // the array's name as it is written
	outside bool   // in a table beside the array
	open    []int  // how many keys there were when each bracket was opened
}

func (c *tomlCost) live() int { return c.lasting + c.passing }

// key adds a key where the document is.
func (c *tomlCost) key() {
	if n := len(c.open); n > 0 {
		c.work += c.live() - c.open[n-1] + 1
	} else {
		c.work += c.live() + 1
	}
	c.entry()
}

// entry adds what later searches go through.
func (c *tomlCost) entry() {
	if c.outside || c.array == "" {
		c.lasting++
	} else {
		c.passing++
	}
}

// header reads "[table]" or "[[array]]", and returns where its name ends.
func (c *tomlCost) header(data []byte, i int) int {
	end := i
	for end < len(data) && data[end] != '\n' && data[end] != ']' {
		end++
	}
	name := data[i+1 : end]
	array := len(name) > 0 && name[0] == '['
	if array {
		name = name[1:]
	}
	c.work += c.live() * (1 + bytes.Count(name, []byte(".")))
	inside := c.array != "" && len(name) > len(c.array) && string(name[:len(c.array)]) == c.array && name[len(c.array)] == '.'
	switch {
	case array && string(name) == c.array:
		c.passing, c.outside = 0, false
	case array && !inside:
		c.lasting, c.passing, c.outside = c.lasting+c.passing, 0, false
		c.array = string(name)
	default:
		c.outside = !inside
	}
	for range 1 + bytes.Count(name, []byte(".")) {
		c.key()
	}
	// The second bracket of an array's end, which opened nothing.
	if end+1 < len(data) && data[end] == ']' && data[end+1] == ']' {
		end++
	}
	return min(end, len(data)-1)
}

// skipTOMLString returns where the string that begins at i ends.
func skipTOMLString(data []byte, i int) int {
	quote := data[i]
	triple := i+2 < len(data) && data[i+1] == quote && data[i+2] == quote
	if triple {
		i += 2
	}
	for i++; i < len(data); i++ {
		switch c := data[i]; {
		case c == '\\' && quote == '"':
			i++
		case c == '\n' && !triple: // never closed: the parser will say so
			return i - 1
		case c == quote && !triple:
			return i
		case c == quote && i+2 < len(data) && data[i+1] == quote && data[i+2] == quote:
			// Up to two quotes may belong to the text.
			for i+3 < len(data) && data[i+3] == quote {
				i++
			}
			return i + 2
		}
	}
	return i
}
