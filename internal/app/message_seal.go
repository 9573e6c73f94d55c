package app

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/gateway/message"
	"github.com/apexlogic/apex/internal/seal"
)

// maxSealKey is far more than a key to seal or open with.
const maxSealKey = 8 << 10

// MakeSealKeys makes a pair of keys, NAME.key and NAME.pub, and returns its id. It
// never replaces a file: what was sealed for that key could not be opened any more.
func MakeSealKeys(name string) (id string, err error) {
	key, err := seal.GenerateKey()
	if err != nil {
		return "", err
	}
	private, err := key.PEM()
	if err != nil {
		return "", err
	}
	for _, f := range []struct {
		path string
		data []byte
		mode os.FileMode
	}{{name + ".key", private, 0o600}, {name + ".pub", key.Public().PEM(), 0o644}} {
		file, err := os.OpenFile(f.path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, f.mode)
		if err != nil {
			return "", err
		}
		_, err = file.Write(f.data)
		if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
			return "", fmt.Errorf("%s: %w", f.path, err)
		}
	}
	return key.ID(), nil
}

// SealMessage seals values of an event in structured mode for the keys in files, and
// returns it so. Without places the data is sealed as a whole. life is how long the
// envelopes may be opened; zero: for ever.
func SealMessage(event []byte, keys, places []string, life time.Duration, c clock.Clock) ([]byte, error) {
	e, err := message.ReadStructured(event)
	if err != nil {
		return nil, err
	}
	var to []*seal.PublicKey
	for _, path := range keys {
		text, err := bounded.ReadFile(path, maxSealKey)
		if err != nil {
			return nil, err
		}
		key, err := seal.ParsePublicKey(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		to = append(to, key)
	}
	var expires time.Time
	if life > 0 {
		expires = c.Now().Add(life)
	}
	e.Compact()
	if err := message.Seal(e, to, places, expires); err != nil {
		return nil, err
	}
	return e.Structured(), nil
}

// OpenMessage opens what of an event in structured mode is for the key in a file,
// and returns it so, with the places that were opened.
func OpenMessage(event []byte, key string, c clock.Clock) ([]byte, []string, error) {
	e, err := message.ReadStructured(event)
	if err != nil {
		return nil, nil, err
	}
	text, err := bounded.ReadFile(key, maxSealKey)
	if err != nil {
		return nil, nil, err
	}
	private, err := seal.ParsePrivateKey(text)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", key, err)
	}
	opened, err := message.Open(e, private, c.Now())
	if err != nil {
		return nil, nil, err
	}
	return e.Structured(), opened, nil
}
