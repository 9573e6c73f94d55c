package body

// Reference is a kind of what a message names by an id that the server behind
// resolves by itself. Whose it is, nobody can see: to the server all callers of a
// gateway may be one.
type Reference uint8

// The kinds of references.
const (
	Files         Reference = iota // files, stores of them, containers, cached media, voices
	Conversations                  // earlier answers, and what was said before
	Prompts                        // prompts that are stored
	References                     // how many kinds there are
)

// keep takes note of a reference.
func (p *Parser) keep(of Reference) {
	if p.body.Kept[of] == "" {
		p.body.Kept[of] = p.where()
	}
}

// bareItem reports whether the object whose keys begin at base has an id, and
// nothing else but a type: servers take such an item for the one of that id.
func (p *Parser) bareItem(base int) bool {
	named := false
	for _, key := range p.keys[base:] {
		switch string(key) {
		case "id":
			named = true
		case "type":
		default:
			return false
		}
	}
	return named
}
