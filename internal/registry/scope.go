package registry

import (
	"fmt"
	"strings"
)

// Actions is a set of what may be done in a repository.
type Actions uint8

// The actions. Push does not include Pull, and Delete includes neither.
const (
	Pull Actions = 1 << iota
	Push
	Delete
)

const allActions = Pull | Push | Delete

// Has reports whether a holds every action of want.
func (a Actions) Has(want Actions) bool { return a&want == want }

// String returns the actions as scopes spell them, for example "pull,push".
func (a Actions) String() string { return strings.Join(a.list(), ",") }

func (a Actions) list() []string {
	names := []string{}
	for _, n := range [...]struct {
		action Actions
		name   string
	}{{Pull, "pull"}, {Push, "push"}, {Delete, "delete"}} {
		if a.Has(n.action) {
			names = append(names, n.name)
		}
	}
	return names
}

// ParseActions reads a comma-separated list of pull, push, delete, or * for
// all of them. Anything else is an error.
func ParseActions(text string) (Actions, error) {
	var a Actions
	for name := range strings.SplitSeq(text, ",") {
		switch name {
		case "pull":
			a |= Pull
		case "push":
			a |= Push
		case "delete":
			a |= Delete
		case "*":
			a |= allActions
		default:
			return 0, fmt.Errorf("unknown action %.20q (pull, push, delete or *)", name)
		}
	}
	return a, nil
}

const (
	// maxScopes bounds what one token may speak about. A client asks for the
	// repository that it pushes to and those that it mounts from.
	maxScopes = 64
	// maxScopeBytes bounds the text of all scopes of one request.
	maxScopeBytes = 16 << 10

	typeRepository = "repository"
	typeRegistry   = "registry"
	nameCatalog    = "catalog"
)

// access is one resource and what is granted on it, as token claims spell it.
type access struct {
	Type    string   `json:"type"`
	Name    string   `json:"name"`
	Actions []string `json:"actions"`
}

// scope is one requested resource.
type scope struct {
	name    string // repository
	actions Actions
	catalog bool // registry:catalog:*; name and actions are empty
}

// parseScopes reads the scope parameters of a token request: each one may hold
// several scopes with spaces between them. Resource types that this registry
// does not have grant nothing and are left out; malformed text is an error.
func parseScopes(params []string) ([]scope, error) {
	var scopes []scope
	bytes := 0
	for _, param := range params {
		if bytes += len(param); bytes > maxScopeBytes {
			return nil, fmt.Errorf("scopes are longer than %d bytes", maxScopeBytes)
		}
		for text := range strings.FieldsSeq(param) {
			s, known, err := parseScope(text)
			if err != nil {
				return nil, err
			}
			if !known {
				continue
			}
			if len(scopes) == maxScopes {
				return nil, fmt.Errorf("more than %d scopes", maxScopes)
			}
			scopes = append(scopes, s)
		}
	}
	return scopes, nil
}

// parseScope reads type:name:actions. The type may have a class in
// parentheses, which says what is in the repository and changes no grant.
func parseScope(text string) (s scope, known bool, err error) {
	kind, rest, ok := strings.Cut(text, ":")
	colon := strings.LastIndexByte(rest, ':')
	if !ok || colon < 0 {
		return scope{}, false, fmt.Errorf("scope %.80q is not type:name:actions", text)
	}
	name, actions := rest[:colon], rest[colon+1:]
	if class := strings.IndexByte(kind, '('); class > 0 && strings.HasSuffix(kind, ")") {
		kind = kind[:class]
	}
	switch kind {
	case typeRepository:
		if !ValidRepository(name) {
			return scope{}, false, fmt.Errorf("scope %.80q names no valid repository", text)
		}
		a, err := ParseActions(actions)
		if err != nil {
			return scope{}, false, fmt.Errorf("scope %.80q: %w", text, err)
		}
		return scope{name: name, actions: a}, true, nil
	case typeRegistry:
		if name == nameCatalog && actions == "*" {
			return scope{catalog: true}, true, nil
		}
	}
	return scope{}, false, nil
}
