package ledger

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/mod/sumdb/note"
)

const (
	// maxKeyFile bounds the key files: an origin of 255 bytes and base64.
	maxKeyFile = 1 << 10
	// maxOrigin bounds the log's name.
	maxOrigin = 255

	keyPrefix = "PRIVATE+KEY+"
	// algEd25519 is the note algorithm of Ed25519 (C2SP signed-note).
	algEd25519 = 1
)

// checkOrigin refuses what cannot be the name of a note's key.
func checkOrigin(origin string) error {
	if origin == "" || len(origin) > maxOrigin || !utf8.ValidString(origin) || strings.Contains(origin, "+") ||
		strings.ContainsFunc(origin, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }) {
		return fmt.Errorf("origin %.64q: want 1 to %d bytes without spaces and plus signs, such as apex.example.com/ledger", origin, maxOrigin)
	}
	return nil
}

// ensureKeys makes sure that the directory holds a verifier key for origin, and
// makes a signing key when the caller brings none. It returns the verifier key.
func ensureKeys(files FS, dir string, o *Options) (string, error) {
	verifierFile := filepath.Join(dir, verifierName)
	have, err := readVerifier(files, dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		have = ""
	case err != nil:
		return "", err
	}
	if have != "" {
		v, err := note.NewVerifier(have)
		if err != nil {
			return "", &DamageError{File: verifierFile, Err: err}
		}
		if o.Origin != "" && o.Origin != v.Name() {
			return "", fmt.Errorf("the ledger in %s is that of %q, not of %q: choose another directory or the other origin", dir, v.Name(), o.Origin)
		}
		if o.Signer != nil && (o.Signer.Name() != v.Name() || o.Signer.KeyHash() != v.KeyHash()) {
			return "", fmt.Errorf("the ledger in %s is signed with key %s+%08x, the signer handed in is %s+%08x", dir, v.Name(), v.KeyHash(), o.Signer.Name(), o.Signer.KeyHash())
		}
		return have, nil
	}
	if err := checkOrigin(o.Origin); err != nil {
		return "", err
	}
	vkey := o.VerifierKey
	if o.Signer == nil {
		// A crash may have left the key without its verifier.
		secret, err := readKey(files, dir)
		if errors.Is(err, fs.ErrNotExist) {
			secret, _, err = note.GenerateKey(rand.Reader, o.Origin)
			if err == nil {
				err = writeFile(files, dir, keyName, []byte(secret+"\n"), 0o600)
			}
		}
		if err != nil {
			return "", err
		}
		if vkey, err = verifierOf(secret); err != nil {
			return "", &DamageError{File: filepath.Join(dir, keyName), Err: err}
		}
	}
	v, err := note.NewVerifier(vkey)
	if err != nil {
		return "", fmt.Errorf("verifier key: %w", err)
	}
	if v.Name() != o.Origin {
		return "", fmt.Errorf("the signing key is named %q, but the origin is %q: they have to be the same", v.Name(), o.Origin)
	}
	return vkey, writeFile(files, dir, verifierName, []byte(vkey+"\n"), 0o644)
}

func readVerifier(files FS, dir string) (string, error) {
	return readLine(files, filepath.Join(dir, verifierName))
}

func readKey(files FS, dir string) (string, error) {
	return readLine(files, filepath.Join(dir, keyName))
}

func readLine(files FS, name string) (string, error) {
	data, err := readFile(files, name, maxKeyFile)
	if err != nil {
		return "", err
	}
	line, ok := strings.CutSuffix(string(data), "\n")
	if !ok || line == "" || strings.Contains(line, "\n") {
		return "", &DamageError{File: name, Err: errors.New("it is not one line")}
	}
	return line, nil
}

// loadSigner reads the signing key that the ledger made.
func loadSigner(files FS, dir string) (note.Signer, error) {
	secret, err := readKey(files, dir)
	if err != nil {
		return nil, fmt.Errorf("read the signing key: %w", err)
	}
	return note.NewSigner(secret)
}

// verifierOf derives the verifier key from a signing key, and refuses any
// spelling but the one that note.GenerateKey writes. Its errors never hold the
// secret.
func verifierOf(secret string) (string, error) {
	bad := errors.New("it is not an Ed25519 note key")
	rest, ok := strings.CutPrefix(secret, keyPrefix)
	if !ok {
		return "", bad
	}
	name, rest, _ := strings.Cut(rest, "+")
	hash, b64, ok := strings.Cut(rest, "+")
	if !ok {
		return "", bad
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(b64)
	if err != nil || len(raw) != 1+ed25519.SeedSize || raw[0] != algEd25519 {
		return "", bad
	}
	pub := ed25519.NewKeyFromSeed(raw[1:]).Public().(ed25519.PublicKey)
	vkey, err := note.NewEd25519VerifierKey(name, pub)
	if err != nil {
		return "", bad
	}
	if !strings.HasPrefix(vkey, name+"+"+hash+"+") {
		return "", errors.New("its name or hash does not fit its key")
	}
	return vkey, nil
}
