package registry

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
)

// Principal is somebody whose credentials were good.
type Principal struct {
	// Name is 1 to 64 characters of [A-Za-z0-9._@-]; tenants refer to it.
	Name string
	// Operator may do everything in every repository.
	Operator bool
}

// ErrCredentials is what an [Authenticator] returns for a user that it does
// not know or a password that is wrong; which of the two it was is not said.
var ErrCredentials = errors.New("unknown user or wrong password")

// Authenticator checks a user name and a password. Any error refuses; one that
// is not [ErrCredentials] is logged as a failure of the authenticator.
// Implementations are safe for concurrent use.
type Authenticator interface {
	Authenticate(ctx context.Context, user, password string) (Principal, error)
}

// Authenticators asks one after the other until one knows the credentials.
// Only ErrCredentials passes on to the next; any other error ends the search.
type Authenticators []Authenticator

// Authenticate implements [Authenticator].
func (all Authenticators) Authenticate(ctx context.Context, user, password string) (Principal, error) {
	for _, a := range all {
		p, err := a.Authenticate(ctx, user, password)
		if !errors.Is(err, ErrCredentials) {
			return p, err
		}
	}
	return Principal{}, ErrCredentials
}

// LocalUser is the name that goes with the local token.
const LocalUser = "apex"

// Local authenticates the one operator of embedded mode: the user [LocalUser]
// with the token of the file "token" in the registry's directory. Whoever may
// read that file may do everything.
type Local struct {
	token string
	sum   [sha256.Size]byte
}

// OpenLocal reads dir/token, and makes it (64 hex digits, mode 0600) the first
// time. A token file that others may read is an error.
func OpenLocal(dir string) (*Local, error) {
	d, err := openDisk(dir, nil)
	if err != nil {
		return nil, err
	}
	defer d.close()
	token, err := d.secret("token")
	if err != nil {
		return nil, err
	}
	return &Local{token: token, sum: sha256.Sum256([]byte(token))}, nil
}

// Token returns the password of [LocalUser], for clients on this machine.
func (l *Local) Token() string { return l.token }

// Authenticate implements [Authenticator]. Its time does not depend on how
// much of the token was guessed: hashes of equal length are compared.
func (l *Local) Authenticate(_ context.Context, user, password string) (Principal, error) {
	sum := sha256.Sum256([]byte(password))
	if subtle.ConstantTimeCompare(sum[:], l.sum[:])&subtle.ConstantTimeCompare([]byte(user), []byte(LocalUser)) != 1 {
		return Principal{}, ErrCredentials
	}
	return Principal{Name: LocalUser, Operator: true}, nil
}

func validPrincipal(name string) bool {
	if name == "" || len(name) > 64 {
		return false
	}
	for i := range len(name) {
		c := name[i]
		if !isLowerAlnum(c) && (c < 'A' || c > 'Z') && c != '.' && c != '_' && c != '@' && c != '-' {
			return false
		}
	}
	return true
}

var (
	_ Authenticator = Authenticators(nil)
	_ Authenticator = (*Local)(nil)
)
