package attest

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/internal/clock"
)

const (
	// maxJoinTokens are waiting at once; each is made by a person or a pipeline.
	maxJoinTokens = 10_000
	// MaxJoinLife is how long a join token may wait: what lies about for longer
	// is found.
	MaxJoinLife = 24 * time.Hour
	maxJoinFile = 1 << 10
	// halfJoin is how the name of a file begins that is being written.
	halfJoin = ".new-"
)

// JoinTokens are handed to a workload by who starts it, and work once. Each is a
// file of a directory, named by its hash: one process makes them while another
// takes them. It is safe for concurrent use, also by several processes.
type JoinTokens struct {
	dir   string
	clock clock.Clock
}

type joinToken struct {
	Name  string    `json:"name"`
	Until time.Time `json:"until"`
}

// OpenJoinTokens opens a directory, and makes it when it is not there.
func OpenJoinTokens(dir string, c clock.Clock) (*JoinTokens, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	info, err := os.Stat(dir)
	if err != nil {
		return nil, err
	}
	if mode := info.Mode().Perm(); mode&0o022 != 0 {
		return nil, fmt.Errorf("others may make join tokens in %s, whose mode is %04o: take %04o from it", dir, mode, mode&0o022)
	}
	return &JoinTokens{dir: dir, clock: c}, nil
}

// New makes a token that establishes join:name:NAME, once, within life. It
// survives the death of the machine.
func (j *JoinTokens) New(name string, life time.Duration) (string, error) {
	if name == "" || len(name) > 256 {
		return "", errors.New("a join token has a name of 1 to 256 bytes")
	}
	if life <= 0 || life > MaxJoinLife {
		return "", fmt.Errorf("a join token lives at most %s", MaxJoinLife)
	}
	if err := j.sweep(); err != nil {
		return "", err
	}
	var secret [32]byte
	rand.Read(secret[:]) // never fails
	token := base64.RawURLEncoding.EncodeToString(secret[:])
	data, err := json.Marshal(joinToken{name, j.clock.Now().Add(life)})
	if err != nil {
		return "", err
	}
	path := j.path([]byte(token))
	half := filepath.Join(j.dir, halfJoin+filepath.Base(path))
	if err := writeSynced(half, data); err != nil {
		return "", fmt.Errorf("keep a join token: %w", errors.Join(err, os.Remove(half)))
	}
	if err := os.Rename(half, path); err != nil {
		return "", fmt.Errorf("keep a join token: %w", errors.Join(err, os.Remove(half)))
	}
	if err := j.sync(); err != nil {
		return "", fmt.Errorf("keep a join token: %w", err)
	}
	return token, nil
}

// sweep removes what has expired, when there are too many.
func (j *JoinTokens) sweep() error {
	all, err := os.ReadDir(j.dir)
	if err != nil || len(all) < maxJoinTokens {
		return err
	}
	left := len(all)
	for _, e := range all {
		path := filepath.Join(j.dir, e.Name())
		t, err := readJoin(path)
		if err == nil && t.Until.After(j.clock.Now()) {
			continue
		}
		// One that is being written now cannot be read yet: whoever writes it is
		// told, and makes another one.
		if err := os.Remove(path); err == nil || errors.Is(err, fs.ErrNotExist) {
			left--
		}
	}
	if left >= maxJoinTokens {
		return fmt.Errorf("%d join tokens are waiting to be used: make fewer, or shorter-lived ones", maxJoinTokens)
	}
	return nil
}

// path of a token's file. The hash makes the time that a look-up takes say
// nothing about the tokens there are, and the directory tell none.
func (j *JoinTokens) path(token []byte) string {
	sum := sha256.Sum256(token)
	return filepath.Join(j.dir, hex.EncodeToString(sum[:]))
}

// Attest uses a token up: its file is gone for good before it counts, so that it
// counts once, whoever else shows it now and whatever dies in between.
func (j *JoinTokens) Attest(_ context.Context, evidence []byte) ([]Selector, error) {
	path := j.path(evidence)
	t, err := readJoin(path)
	if err == nil {
		err = os.Remove(path) // of two at once, one succeeds
	}
	if err == nil {
		err = j.sync()
	}
	if err != nil || !t.Until.After(j.clock.Now()) {
		return nil, refuse("the join token is unknown, was used, or has expired")
	}
	return selector(nil, "join", "name", t.Name), nil
}

func readJoin(path string) (t joinToken, err error) {
	if strings.HasPrefix(filepath.Base(path), halfJoin) {
		return t, errors.New("it is not a join token yet")
	}
	data, err := bounded.ReadFile(path, maxJoinFile)
	if err != nil {
		return t, err
	}
	return t, bounded.JSON(data, 2, &t)
}

func (j *JoinTokens) sync() error {
	d, err := os.Open(j.dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

func writeSynced(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if _, err = f.Write(data); err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

var _ Attestor = (*JoinTokens)(nil)
