package lock

import (
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

// checkTOML looks at the nesting of a document without parsing it.
func checkTOML(data []byte) error {
	depth, dots := 0, 0
	for i := 0; i < len(data); i++ {
		switch c := data[i]; c {
		case '[', '{':
			if depth++; depth > maxTOMLDepth {
				return fmt.Errorf("%w of %d levels", bounded.ErrTooDeep, maxTOMLDepth)
			}
		case ']', '}':
			depth = max(depth-1, 0)
		case '.':
			if dots++; dots > maxTOMLDots {
				return fmt.Errorf("%w of %d parts of a key", bounded.ErrTooMany, maxTOMLDots)
			}
		case '\n', ',':
			dots = 0
		case '#':
			for i+1 < len(data) && data[i+1] != '\n' {
				i++
			}
		case '"', '\'':
			i = skipTOMLString(data, i)
		}
	}
	return nil
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
