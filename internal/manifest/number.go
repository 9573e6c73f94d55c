package manifest

import (
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// looksLikeNumber says whether plain text is written as a number is (YAML 1.1
// and 1.2: decimal, 0x, 0o, 0b, with an exponent). The parser reads one that is
// too large as text, without a word; others round it, or stop.
func looksLikeNumber(text string) bool {
	text = strings.TrimLeft(text[:min(1, len(text))], "+-") + text[min(1, len(text)):]
	if len(text) < 2 || text[0] != '.' && (text[0] < '0' || text[0] > '9') {
		return false
	}
	if text[0] == '0' {
		switch text[1] {
		case 'x', 'X':
			return len(text) > 2 && strings.Trim(text[2:], "0123456789abcdefABCDEF_") == ""
		case 'o', 'O':
			return len(text) > 2 && strings.Trim(text[2:], "01234567_") == ""
		case 'b', 'B':
			return len(text) > 2 && strings.Trim(text[2:], "01_") == ""
		}
	}
	rest := strings.TrimLeft(text, "0123456789_")
	whole := len(text) - len(rest)
	if after, ok := strings.CutPrefix(rest, "."); ok {
		rest = strings.TrimLeft(after, "0123456789_")
		whole += len(after) - len(rest)
	}
	if whole == 0 || rest == "" {
		return whole > 0
	}
	if rest[0]|0x20 != 'e' {
		return false
	}
	rest = rest[1:]
	if rest != "" && (rest[0] == '+' || rest[0] == '-') {
		rest = rest[1:]
	}
	return rest != "" && strings.Trim(rest, "0123456789") == ""
}

// isCanonicalKey says whether a number or boolean that is a key stays what it
// is on the way to an API server, where all keys are text.
func isCanonicalKey(k *yaml.Node) bool {
	switch k.Tag {
	case "!!int":
		i, err := strconv.ParseInt(k.Value, 10, 64)
		return err == nil && strconv.FormatInt(i, 10) == k.Value
	case "!!float":
		f, err := strconv.ParseFloat(k.Value, 64)
		return err == nil && strconv.FormatFloat(f, 'g', -1, 64) == k.Value
	case "!!bool":
		return k.Value == "true" || k.Value == "false"
	}
	return true
}

// isTooLarge says whether a number of JSON is more than a float holds.
func isTooLarge(text string) bool {
	if len(text) < 300 && !strings.ContainsAny(text, "eE") {
		return false
	}
	_, err := strconv.ParseFloat(text, 64)
	return err != nil
}
