package registry

import (
	"bufio"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync/atomic"

	"golang.org/x/crypto/bcrypt"

	"github.com/apexlogic/apex/internal/bounded"
)

const (
	// maxUsersFile and maxUsers bound the file: thousands of users belong to
	// an identity provider.
	maxUsersFile = 1 << 20
	maxUsers     = 4096
	// minCost is what hashing must at least cost; above maxCost one guess
	// costs the registry seconds.
	minCost = 10
	maxCost = 14
	// maxHashing bounds how many hashes are computed at the same time, so that
	// guessing cannot take all processors.
	maxHashing = 2
	// maxPassword is what bcrypt looks at.
	maxPassword = 72
)

// Tenant says who may do what in the repositories under a prefix.
type Tenant struct {
	// Prefix is "team/" for all repositories below it, or "team/app" for that
	// repository alone.
	Prefix string
	// Members maps a principal's name to what it may do there.
	Members map[string]Actions
}

// Users authenticates against a file in the manner of htpasswd. Make one with
// [ParseUsers] or [LoadUsers]; it does not change afterwards and is safe for
// concurrent use.
type Users struct {
	byName  map[string]*user
	tenants []Tenant
	// nobody is hashed against when the user is unknown, so that an unknown
	// user takes as long as a wrong password.
	nobody  *user
	hashing chan struct{}
	key     [32]byte
}

type user struct {
	hash []byte
	// quick is the keyed hash of the password that bcrypt has accepted, so
	// that clients that send Basic with every request do not cost a bcrypt each.
	quick atomic.Pointer[[sha256.Size]byte]
}

// LoadUsers reads the users file at path; see [ParseUsers]. A file that others
// than its owner may write is an error.
func LoadUsers(path string) (*Users, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o022 != 0 {
		return nil, fmt.Errorf("users file %s may be written by others (mode %v): chmod 0600 it", path, info.Mode().Perm())
	}
	data, err := bounded.ReadFile(path, maxUsersFile)
	if err != nil {
		return nil, err
	}
	users, err := ParseUsers(strings.NewReader(string(data)))
	if err != nil {
		return nil, fmt.Errorf("users file %s: %w", path, err)
	}
	return users, nil
}

// ParseUsers reads one user per line:
//
//	name:bcrypt-hash:prefix=actions prefix=actions
//
// for example "ana:$2y$12$...:vision/=pull,push shared/=pull". Empty lines and
// lines that begin with # are skipped. The hash's cost is 10 to 14. Errors
// name the line, never the hash.
func ParseUsers(r io.Reader) (*Users, error) {
	data, err := bounded.ReadAll(r, maxUsersFile)
	if err != nil {
		return nil, err
	}
	u := &Users{byName: map[string]*user{}, hashing: make(chan struct{}, maxHashing)}
	rand.Read(u.key[:])
	members := map[string]map[string]Actions{}
	cost := minCost
	lines := bufio.NewScanner(strings.NewReader(string(data)))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		c, err := u.add(line, members)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		cost = max(cost, c)
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	for prefix, who := range members {
		u.tenants = append(u.tenants, Tenant{Prefix: prefix, Members: who})
	}
	slices.SortFunc(u.tenants, func(a, b Tenant) int { return strings.Compare(a.Prefix, b.Prefix) })
	u.nobody = &user{hash: unmatchable(cost)}
	return u, nil
}

// unmatchable is a well-formed hash of the given cost, made up and not of any
// password: it is there to take time.
func unmatchable(cost int) []byte {
	return fmt.Appendf(nil, "$2a$%02d$%s%s", cost, "nobodynobodynobodynobu", strings.Repeat(".", 31))
}

func (u *Users) add(line string, members map[string]map[string]Actions) (cost int, err error) {
	fields := strings.SplitN(line, ":", 3)
	if len(fields) < 2 {
		return 0, errors.New("want name:bcrypt-hash:prefix=actions")
	}
	name := fields[0]
	switch {
	case !validPrincipal(name):
		return 0, errors.New("the name must be 1 to 64 characters of A-Z a-z 0-9 . _ @ -")
	case name == LocalUser:
		return 0, fmt.Errorf("the name %q belongs to the local token: choose another one", LocalUser)
	case u.byName[name] != nil:
		return 0, fmt.Errorf("user %q is there twice", name)
	case len(u.byName) == maxUsers:
		return 0, fmt.Errorf("more than %d users", maxUsers)
	}
	cost, err = bcrypt.Cost([]byte(fields[1]))
	if err != nil || cost < minCost || cost > maxCost || len(fields[1]) != 60 {
		return 0, fmt.Errorf("user %q needs a bcrypt hash with a cost of %d to %d (htpasswd -nB -C 12 %s)", name, minCost, maxCost, name)
	}
	u.byName[name] = &user{hash: []byte(fields[1])}
	if len(fields) < 3 {
		return cost, nil
	}
	for grant := range strings.FieldsSeq(fields[2]) {
		prefix, text, ok := strings.Cut(grant, "=")
		if !ok || prefix == "" || !validPrefix(prefix) {
			return 0, fmt.Errorf("grant %.80q of user %q is not prefix=actions, for example team/=pull,push", grant, name)
		}
		actions, err := ParseActions(text)
		if err != nil {
			return 0, fmt.Errorf("grant %.80q of user %q: %w", grant, name, err)
		}
		if members[prefix] == nil {
			members[prefix] = map[string]Actions{}
		}
		members[prefix][name] |= actions
	}
	return cost, nil
}

// Tenants returns what the file grants, for [Options].
func (u *Users) Tenants() []Tenant { return u.tenants }

// Authenticate implements [Authenticator]. At most two passwords are hashed at
// the same time; others wait until ctx ends.
func (u *Users) Authenticate(ctx context.Context, name, password string) (Principal, error) {
	if len(password) > maxPassword {
		return Principal{}, ErrCredentials
	}
	known := u.byName[name]
	who := known
	if known == nil {
		who = u.nobody
	}
	m := hmac.New(sha256.New, u.key[:])
	m.Write([]byte(password))
	sum := [sha256.Size]byte(m.Sum(nil))
	if quick := who.quick.Load(); quick != nil && hmac.Equal(quick[:], sum[:]) {
		return Principal{Name: name}, nil
	}
	select {
	case u.hashing <- struct{}{}:
		defer func() { <-u.hashing }()
	case <-ctx.Done():
		return Principal{}, ctx.Err()
	}
	if err := bcrypt.CompareHashAndPassword(who.hash, []byte(password)); err != nil || known == nil {
		return Principal{}, ErrCredentials
	}
	known.quick.Store(&sum)
	return Principal{Name: name}, nil
}

var _ Authenticator = (*Users)(nil)
