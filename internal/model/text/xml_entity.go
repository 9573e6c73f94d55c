package text

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// references writes out those references to characters that make the "&" of
// another reference: readers do it when an entity is declared.
func references(s string) string {
	for rest := s; ; {
		i := strings.Index(rest, "&#")
		if i < 0 {
			return s
		}
		rest = rest[i+2:]
		digits, after, ok := strings.Cut(rest, ";")
		if !ok || len(digits) > 12 {
			continue
		}
		base := 10
		if hex, isHex := strings.CutPrefix(digits, "x"); isHex {
			digits, base = hex, 16
		}
		if n, err := strconv.ParseUint(digits, base, 32); err != nil || n != '&' {
			continue
		}
		start := len(s) - len(rest) - 2
		s = s[:start] + "&" + after
		rest = after
	}
}

// blowup looks for a long entity that the document asks for again and again.
func (x *xmlWalk) blowup(b []byte) {
	if len(x.entities) == 0 {
		return
	}
	size := 0
	for rest := b; ; {
		i := bytes.IndexByte(rest, '&')
		if i < 0 {
			return
		}
		rest = rest[i+1:]
		end := bytes.IndexByte(rest[:min(len(rest), 256)], ';')
		if end < 0 {
			continue
		}
		size += x.entities[string(rest[:end])]
		if size > bombEntities && size/bombGrowth > len(b) {
			x.report(ruleEntityBomb, 0, fmt.Sprintf("its entities become more than %d characters", bombEntities))
			return
		}
	}
}

// entitySize is how long an entity is once those in it are written out.
func entitySize(name string, values map[string]string, sizes map[string]int, depth int) int {
	if size, ok := sizes[name]; ok {
		return size
	}
	if depth > 100 {
		return bombEntities + 1
	}
	sizes[name] = bombEntities + 1 // an entity within itself never ends
	value := values[name]
	size := len(value)
	for rest := value; ; {
		i := strings.IndexByte(rest, '&')
		if i < 0 {
			break
		}
		rest = rest[i+1:]
		inner, after, ok := strings.Cut(rest, ";")
		if !ok {
			break
		}
		if _, known := values[inner]; known {
			size = min(size+entitySize(inner, values, sizes, depth+1), bombEntities+1)
		}
		rest = after
	}
	sizes[name] = size
	return size
}
