package body

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/apexlogic/apex/internal/media"
)

// What a string at a place is. The zero value steers: what no table knows is
// looked at like a name or an option, not like a text.
type what uint8

const (
	control   what = iota
	text           // read by a model or a person
	prompt         // a text, or the tokens of one, that is answered by itself
	dataURL        // media as a data: URL, or an address of it
	bare           // media as bare base64
	kept           // an id of what the server keeps, of which some servers take an address as well
	keptOrNew      // an item of a list: one that has nothing but an id is what the server keeps
	itemType       // what an item says that it is
	document       // a JSON document in a string, for example a tool's arguments
	role           // who says the texts of the object that holds it
	lane           // a number that says which of several texts this one goes on
	format         // the type of its sibling that is bare
	model
	stream
	maxTokens
	maxAnswer // as maxTokens, or "inf" for as many as there may be
	saidMost  // by a server, of answers: a number, or "inf"
	choices
	toolName
	tensor     // an object with shape, datatype and data
	shape      // of a tensor
	datatype   // of a tensor
	values     // of a tensor: numbers, or strings
	binaryData // how many bytes of a tensor follow the JSON
	ranked     // how many other tokens each token of an answer is told with
	outside    // names what the message does not hold, which nobody can look at
)

// place is a node of the tree of places that an API names.
type place struct {
	is   what
	kind media.Kind
	of   Reference // that a place is for which is kept
	// declared is the type of bare media that has no sibling which says it.
	declared string
	keys     map[string]*place
	folded   map[string]string // a known key in lower case → as it is spelled
	each     *place            // the elements of an array
	any      *place            // the members of an object that are not in keys
}

// elsewhere is the place of everything that no table names, and unread of what is
// below something that names addresses which nobody fetches: a schema, a citation.
var elsewhere, unread = &place{}, &place{}

func (p *place) unnamed() bool { return p == elsewhere || p == unread }

func (p *place) element() *place {
	switch {
	case p.each != nil:
		return p.each
	case p == unread:
		return unread
	}
	return elsewhere
}

// member returns the place of a member. When the key is none that is known but
// would be taken for one by a reader that ignores case, that one is returned.
func (p *place) member(key []byte) (at *place, mistaken string) {
	if at, known := p.keys[string(key)]; known {
		return at, ""
	}
	if len(p.folded) > 0 && len(key) <= 64 {
		var small [64]byte
		if spelled, known := p.folded[string(fold(small[:0], key))]; known {
			return nil, spelled
		}
	}
	switch {
	case p.any != nil:
		return p.any, ""
	case p == unread:
		return unread, ""
	}
	return elsewhere, ""
}

// fold lowers ASCII letters and the two letters beyond ASCII that readers which
// ignore case (encoding/json) take for one: K (Kelvin) and ſ (long s).
func fold(out, key []byte) []byte {
	for len(key) > 0 {
		c := key[0]
		if c < utf8.RuneSelf {
			if 'A' <= c && c <= 'Z' {
				c += 'a' - 'A'
			}
			out = append(out, c)
			key = key[1:]
			continue
		}
		r, n := utf8.DecodeRune(key)
		switch r {
		case 'K':
			out = append(out, 'k')
		case 'ſ':
			out = append(out, 's')
		default:
			out = append(out, key[:n]...)
		}
		key = key[n:]
	}
	return out
}

// API says where in a protocol's messages text and media stand. It is immutable
// and may be shared.
type API struct {
	// Name of the protocol's message, for example "openai.chat".
	Name string
	root *place
	// names says that a plain name counts where no table names the place: a key
	// of a cloud is one too, and an answer might hold it anywhere.
	names bool
	// strict says that names are controls as well, of keys and of values, where no
	// table names the place: the protocol is nobody's, and some attacks are a word.
	strict bool
	// fetched says that servers may fetch what is named by an address where no table
	// expects one: it counts as content there, too.
	fetched bool
	// fields of a form or a multipart body.
	fields map[string]*place
	// types of the protocol's messages; nil: any. A server that takes no forms
	// could read the bytes of one as something else.
	types []string
}

// has reports whether the protocol has messages of a media type.
func (a *API) has(kind string) bool { return a.types == nil || slices.Contains(a.types, kind) }

// row is one line of an API's table: a pointer, in which * stands for every
// element of an array, ** for every member of an object, and *** for everything below
// that nobody fetches.
type row struct {
	pointer  string
	is       what
	kind     media.Kind
	declared string
	of       Reference
}

// newAPI builds the tree of an API's table. The tables are constants, so a
// pointer that makes no sense is a programmer's error.
func newAPI(name string, rows []row) *API {
	api := &API{Name: name, root: &place{}, fields: map[string]*place{}}
	for _, r := range rows {
		if err := api.add(r); err != nil {
			panic(fmt.Sprintf("body: %s: %v", name, err))
		}
	}
	return api
}

func (a *API) add(r row) error {
	if field, ok := strings.CutPrefix(r.pointer, "form:"); ok {
		a.fields[field] = &place{is: r.is, kind: r.kind, declared: r.declared}
		return nil
	}
	if r.pointer != "" && r.pointer[0] != '/' {
		return fmt.Errorf("%q is no JSON pointer", r.pointer)
	}
	at := a.root
	for segment := range strings.SplitSeq(strings.TrimPrefix(r.pointer, "/"), "/") {
		if r.pointer == "" {
			break
		}
		switch segment {
		case "*":
			if at.each == nil {
				at.each = &place{}
			}
			at = at.each
		case "**":
			if at.any == nil {
				at.any = &place{}
			}
			at = at.any
		case "***":
			at.any, at.each = unread, unread
			return nil
		default:
			key := strings.ReplaceAll(strings.ReplaceAll(segment, "~1", "/"), "~0", "~")
			if at.keys == nil {
				at.keys, at.folded = map[string]*place{}, map[string]string{}
			}
			next, known := at.keys[key]
			if !known {
				next = &place{}
				at.keys[key] = next
				at.folded[string(fold(nil, []byte(key)))] = key
			}
			at = next
		}
	}
	if at.is != control && at.is != r.is {
		return fmt.Errorf("%q is named twice, and is two things", r.pointer)
	}
	at.is, at.kind, at.declared, at.of = r.is, r.kind, r.declared, r.of
	return nil
}

// Generic returns an API for JSON that is nobody's protocol: texts and media
// are pointers to where those stand, with * for every element of an array and
// ** for every member of an object. Media may be a data: URL or bare base64.
func Generic(texts, lifted []string) (*API, error) {
	api := &API{Name: "json", root: &place{}, fields: map[string]*place{}, strict: true}
	for _, pointer := range texts {
		if err := api.add(row{pointer: pointer, is: text}); err != nil {
			return nil, err
		}
	}
	for _, pointer := range lifted {
		if err := api.add(row{pointer: pointer, is: bare}); err != nil {
			return nil, err
		}
	}
	return api, nil
}

// Answers returns an API for answers that are nobody's protocol: every string is
// looked at, names too.
func Answers() *API { return &API{Name: "json.answers", root: elsewhere, names: true} }

// AnswersWith is Answers with texts, as pointers like those of [Generic].
func AnswersWith(texts []string) (*API, error) {
	api := &API{Name: "json.answers", root: &place{}, names: true}
	for _, pointer := range texts {
		if err := api.add(row{pointer: pointer, is: text}); err != nil {
			return nil, err
		}
	}
	return api, nil
}

func generic() *API { return &API{Name: "json", root: elsewhere} }
