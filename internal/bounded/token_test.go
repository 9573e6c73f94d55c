package bounded

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// checkTokens is how CheckJSON was first written: over encoding/json's tokens,
// ten times as dear and more. It is the other opinion that the tests ask for.
// The decoder is lenient between tokens, so json.Valid and UTF-8 are asked
// beside it; keys are compared as encoding/json compares them, see
// TestKeysAreFoldedAsEncodingJSONDoes.
func checkTokens(data []byte, depth int) error {
	if !json.Valid(data) {
		return errors.New("invalid")
	}
	if !utf8.Valid(data) {
		return errors.New("not UTF-8")
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	if err := tokenValue(dec, depth); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one JSON value")
	}
	return nil
}

func tokenValue(dec *json.Decoder, depth int) error {
	tok, err := dec.Token()
	if err != nil {
		return err
	}
	delim, ok := tok.(json.Delim)
	if !ok {
		return nil
	}
	if depth <= 0 {
		return ErrTooDeep
	}
	var seen []string
	for dec.More() {
		if delim == '{' {
			tok, err := dec.Token()
			if err != nil {
				return err
			}
			key := tok.(string)
			for _, other := range seen {
				if strings.EqualFold(key, other) {
					return fmt.Errorf("%w %q", ErrDuplicateKey, tok)
				}
			}
			seen = append(seen, key)
		}
		if err := tokenValue(dec, depth-1); err != nil {
			return err
		}
	}
	_, err = dec.Token()
	return err
}
