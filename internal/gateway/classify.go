package gateway

import (
	"net/http"
	"strings"
)

// Class says how much content has to be protected. The zero value is of content
// of which nobody says it.
type Class uint8

// The classes, from the least to the strictest one.
const (
	Unclassified Class = iota
	Public
	Internal
	Confidential
	Restricted
)

var classNames = [...]string{Public: "Public", Internal: "Internal", Confidential: "Confidential", Restricted: "Restricted"}

// String returns the name, as policies see it; "" for [Unclassified].
func (c Class) String() string { return classNames[c] }

// ParseClass reads a name, in capital or small letters. One that is not known
// counts as the strictest class: whoever wrote it meant some protection.
func ParseClass(name string) Class {
	name = strings.TrimSpace(name)
	if name == "" {
		return Unclassified
	}
	for c := Public; c < Restricted; c++ {
		if strings.EqualFold(name, classNames[c]) {
			return c
		}
	}
	return Restricted
}

// ClassHeader is the header by which a caller says the class of what it sends. It
// goes on to the server.
const ClassHeader = "Data-Classification"

// class is the strictest that anybody says: the route and the model, which are
// ours, and the caller, who can only ask for more protection than they do.
func (x *Exchange) class() Class {
	return max(x.Route.Class, x.Route.Models[x.Decision.Model].Class, declared(x.Request.Header))
}

func declared(h http.Header) Class {
	if named := h[ClassHeader]; len(named) > 0 { // one at most: hygiene saw to it
		return ParseClass(named[0])
	}
	return Unclassified
}
