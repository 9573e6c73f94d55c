package repo

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
)

// ErrMalformed: a commit or tag is not written as Git writes them, so that it
// could be read in two ways.
var ErrMalformed = errors.New("not written as Git writes it")

// ErrCollision: the bytes were made to share their SHA-1 with others
// (Stevens, Counter-cryptanalysis; the attacks of shattered.io and sha-mbles).
var ErrCollision = errors.New("bytes made to collide under SHA-1")

// maxParents is more than git merge makes (its octopus is ugly beyond ten).
const maxParents = 32

// RawCommit is a commit as it is stored. Replace references, grafts and the
// configuration, which make the git command show something else, play no part.
type RawCommit struct {
	ID      Commit
	Parents []Commit
	// When is the committer's own claim.
	When time.Time
	// Message is all that follows the header.
	Message string
	// Payload is what a signature is over: the object without the headers
	// gpgsig and gpgsig-sha256.
	Payload []byte
	// Signature is the value of gpgsig with its folding undone; nil when the
	// commit has none.
	Signature []byte

	tree plumbing.Hash
}

// RawTag is an annotated tag as it is stored.
type RawTag struct {
	Target    Commit // of tags of commits; other tags are errors
	Name      string
	Payload   []byte // what a signature is over: all that precedes it
	Signature []byte // nil when the tag has none
}

// RawCommit reads a commit and takes it apart with [ParseCommit].
func (r *Repo) RawCommit(c Commit) (*RawCommit, error) {
	data, err := r.rawObject(plumbing.CommitObject, c)
	if err != nil {
		return nil, fmt.Errorf("read repository %s: %w", r.dir, err)
	}
	return parseRaw(c, data)
}

func parseRaw(c Commit, data []byte) (*RawCommit, error) {
	raw, err := ParseCommit(data)
	if err != nil {
		return nil, fmt.Errorf("commit %s: %w", c, err)
	}
	raw.ID = c
	return raw, nil
}

// RawTag reads an annotated tag, named by the hash of the tag object, and takes
// it apart with [ParseTag].
func (r *Repo) RawTag(hash string) (*RawTag, error) {
	data, err := r.rawObject(plumbing.TagObject, Commit(hash))
	if err != nil {
		return nil, fmt.Errorf("read repository %s: %w", r.dir, err)
	}
	tag, err := ParseTag(data)
	if err != nil {
		return nil, fmt.Errorf("tag %s: %w", hash, err)
	}
	return tag, nil
}

func (r *Repo) rawObject(kind plumbing.ObjectType, name Commit) ([]byte, error) {
	h, err := name.hash()
	if err != nil {
		return nil, err
	}
	return r.unforged(kind, h, maxCommit, nil)
}

// unforged is [Repo.object] that also refuses bytes which collide on purpose.
// Who reads many objects hands in chains, and shares what is returned.
func (r *Repo) unforged(want plumbing.ObjectType, h plumbing.Hash, limit int64, c *chains) ([]byte, error) {
	r.mu.Lock()
	data, err := r.readUnforged(want, h, limit, c)
	r.mu.Unlock()
	switch {
	case errors.Is(err, plumbing.ErrObjectNotFound):
		return nil, fmt.Errorf("%s %s: %w", want, h, ErrNotFound)
	case err != nil:
		return nil, fmt.Errorf("%s %s: %w", want, h, err)
	}
	got, err := hashObject(want, data)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", want, h, err)
	}
	if got != h {
		return nil, fmt.Errorf("%s %s: %w: its content has the hash %s", want, h, ErrCorrupt, got)
	}
	return data, nil
}

// readUnforged finds an object. Who reads many looks into the packs first, which
// hold most of them, with the names in memory so that each costs no calls.
func (r *Repo) readUnforged(want plumbing.ObjectType, h plumbing.Hash, limit int64, c *chains) ([]byte, error) {
	if c != nil {
		p, offset, err := r.inPacks(h)
		if err == nil {
			if err = p.load(); err == nil {
				return c.read(p, offset, want, limit)
			}
		}
		if !errors.Is(err, plumbing.ErrObjectNotFound) {
			return nil, err
		}
	}
	data, err := r.loose(want, h, limit)
	if !errors.Is(err, fs.ErrNotExist) {
		return data, err
	}
	p, offset, err := r.findPacked(h)
	if err != nil {
		return nil, err
	}
	return readPacked(p, offset, want, limit)
}

// cutLine returns the first line without its end.
func cutLine(data []byte) (line, rest []byte, ok bool) { return bytes.Cut(data, []byte("\n")) }

// cutLinks takes the tree and the parents off the beginning of a commit.
func cutLinks(data []byte) (tree plumbing.Hash, parents []plumbing.Hash, rest []byte, err error) {
	for {
		line, after, ok := cutLine(data)
		key, value, _ := strings.Cut(string(line), " ")
		first := tree.IsZero()
		if !ok || first && key != "tree" {
			return tree, nil, nil, fmt.Errorf("%w: it does not begin with its tree", ErrMalformed)
		}
		if !first && key != "parent" {
			return tree, parents, data, nil
		}
		h, err := Commit(value).hash()
		if err != nil || h.IsZero() {
			return tree, nil, nil, fmt.Errorf("%w: its %s is no hash", ErrMalformed, key)
		}
		if first {
			tree = h
		} else if parents = append(parents, h); len(parents) > maxParents {
			return tree, nil, nil, fmt.Errorf("%w: more than %d parents", ErrTooLarge, maxParents)
		}
		data = after
	}
}

// ParseCommit takes a commit object apart, without the object's own header
// ("commit 123\x00"). It is stricter than the git command, so that nothing can
// be read in two ways: the headers stand in their order and only once, no line
// of theirs is folded but those of signatures and unknown headers, and there is
// no NUL. Refusals wrap ErrMalformed. Sources: gitformat-signature(5), the
// checks of git-fsck(1).
func ParseCommit(data []byte) (*RawCommit, error) {
	if at := bytes.IndexByte(data, 0); at >= 0 {
		return nil, fmt.Errorf("%w: it holds a NUL at byte %d, behind which the git command shows nothing", ErrMalformed, at)
	}
	tree, parents, rest, err := cutLinks(data)
	if err != nil {
		return nil, err
	}
	c := &RawCommit{tree: tree}
	for i, p := range parents {
		if slices.Contains(parents[:i], p) {
			return nil, fmt.Errorf("%w: it names the parent %s twice", ErrMalformed, p)
		}
		c.Parents = append(c.Parents, Commit(p.String()))
	}
	headers, message, ok := bytes.Cut(rest, []byte("\n\n"))
	if !ok {
		return nil, fmt.Errorf("%w: no empty line ends its headers", ErrMalformed)
	}
	c.Message = string(message)
	c.Payload = append(make([]byte, 0, len(data)), data[:len(data)-len(rest)]...)
	if err := c.readHeaders(headers); err != nil {
		return nil, err
	}
	c.Payload = append(append(c.Payload, '\n'), message...)
	return c, nil
}

// readHeaders reads what stands between the parents and the message, and adds
// to the payload what is signed of it.
func (c *RawCommit) readHeaders(headers []byte) error {
	var seen []string
	for len(headers) > 0 {
		line, rest, _ := cutLine(headers)
		folded := 0
		for bytes.HasPrefix(rest[folded:], []byte(" ")) {
			_, after, _ := cutLine(rest[folded:])
			folded = len(rest) - len(after)
		}
		key, value, _ := strings.Cut(string(line), " ")
		if err := checkHeader(key, value, folded > 0, seen); err != nil {
			return err
		}
		seen = append(seen, key)
		whole := headers[:len(line)+min(1, len(headers)-len(line))+folded]
		headers = rest[folded:]
		if key == "committer" {
			_, when, err := parsePerson(value)
			if err != nil {
				return fmt.Errorf("%w: its committer %w", ErrMalformed, err)
			}
			c.When = when
		}
		switch key {
		case "gpgsig":
			c.Signature = unfold(whole[len("gpgsig "):])
		case "gpgsig-sha256": // of the commit's twin in a SHA-256 repository
		default:
			c.Payload = append(append(c.Payload, bytes.TrimSuffix(whole, []byte("\n"))...), '\n')
		}
	}
	if len(seen) < 2 {
		return fmt.Errorf("%w: it has no author or no committer", ErrMalformed)
	}
	return nil
}

// checkHeader judges one header by its name and its place.
func checkHeader(key, value string, folded bool, seen []string) error {
	again := slices.Contains(seen, key)
	switch {
	case len(seen) == 0 && key != "author" || len(seen) == 1 && key != "committer":
		return fmt.Errorf("%w: %.40q stands where its author and committer belong", ErrMalformed, key)
	case len(seen) < 2:
		if _, _, err := parsePerson(value); err != nil {
			return fmt.Errorf("%w: its %s %w", ErrMalformed, key, err)
		}
	case key == "tree" || key == "parent" || key == "author" || key == "committer":
		return fmt.Errorf("%w: a second %s header", ErrMalformed, key)
	case strings.HasPrefix(key, "gpgsig"):
		if again {
			return fmt.Errorf("%w: a second %s header: nobody can say which one counts", ErrMalformed, key)
		}
		if key != "gpgsig" && key != "gpgsig-sha256" || value == "" {
			return fmt.Errorf("%w: the header %.40q is no signature that Git knows", ErrMalformed, key)
		}
		return nil
	case key == "encoding" && again:
		return fmt.Errorf("%w: a second encoding header", ErrMalformed)
	case key == "" || strings.Trim(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-:_.") != "":
		return fmt.Errorf("%w: %.40q is not a header", ErrMalformed, key)
	case key != "encoding":
		return nil // mergetag, change-id, HG:extra, …
	}
	if folded {
		return fmt.Errorf("%w: its %s is folded over several lines", ErrMalformed, key)
	}
	return nil
}

// unfold undoes the folding of a header's value: a space begins each further line.
func unfold(value []byte) []byte {
	return bytes.ReplaceAll(bytes.TrimSuffix(value, []byte("\n")), []byte("\n "), []byte("\n"))
}

// parsePerson reads "Name <email> 1772366400 +0100".
func parsePerson(text string) (email string, when time.Time, err error) {
	_, rest, named := strings.Cut(text, "<")
	email, stamp, ended := strings.Cut(rest, "> ")
	seconds, zone, zoned := strings.Cut(stamp, " ")
	if !named || !ended || strings.ContainsAny(email, "<>\r") || strings.Contains(text, "\r") {
		return "", time.Time{}, errors.New("is not written as: Name <email> seconds zone")
	}
	n, err := strconv.ParseUint(seconds, 10, 40) // until the year 36812
	if err != nil || !zoned || len(zone) < 2 || len(zone) > 10 || strings.Trim(zone[:1], "+-") != "" || strings.Trim(zone[1:], "0123456789") != "" {
		return "", time.Time{}, errors.New("has no date that can be read")
	}
	return email, time.Unix(int64(n), 0).UTC(), nil
}

// signatureBegins are the lines that a signature at the end of a tag begins with.
var signatureBegins = [...]string{
	"-----BEGIN SSH SIGNATURE-----", "-----BEGIN PGP SIGNATURE-----", "-----BEGIN PGP MESSAGE-----", "-----BEGIN SIGNED MESSAGE-----",
}

// ParseTag takes a tag object apart, as strictly as [ParseCommit].
func ParseTag(data []byte) (*RawTag, error) {
	if at := bytes.IndexByte(data, 0); at >= 0 {
		return nil, fmt.Errorf("%w: it holds a NUL at byte %d", ErrMalformed, at)
	}
	headers, message, ok := bytes.Cut(data, []byte("\n\n"))
	lines := strings.Split(string(headers), "\n")
	const keys = "object type tag tagger"
	if !ok || len(lines) != 4 {
		return nil, fmt.Errorf("%w: its headers are not %s", ErrMalformed, keys)
	}
	var values [4]string
	for i, key := range strings.Fields(keys) {
		if values[i], ok = strings.CutPrefix(lines[i], key+" "); !ok {
			return nil, fmt.Errorf("%w: its headers are not %s", ErrMalformed, keys)
		}
	}
	t := &RawTag{Target: Commit(values[0]), Name: values[2], Payload: data}
	if _, err := t.Target.hash(); err != nil || values[1] != "commit" {
		return nil, fmt.Errorf("%w: it is not a tag of a commit", ErrMalformed)
	}
	if _, _, err := parsePerson(values[3]); err != nil {
		return nil, fmt.Errorf("%w: its tagger %w", ErrMalformed, err)
	}
	begin := len(data) - len(message)
	for at := begin; at < len(data); {
		line, rest, _ := cutLine(data[at:])
		if slices.Contains(signatureBegins[:], string(line)) {
			if t.Signature != nil {
				return nil, fmt.Errorf("%w: two signatures: nobody can say which one counts", ErrMalformed)
			}
			t.Payload, t.Signature = data[:at], data[at:]
		}
		at = len(data) - len(rest)
	}
	return t, nil
}

// Trailers returns the values of the trailers with this name (in any case), as
// git-interpret-trailers(1) writes them: lines "Name: value" in the message's
// last paragraph, which holds nothing else and is not its first.
func (c *RawCommit) Trailers(name string) []string {
	text := strings.TrimRight(c.Message, " \t\r\n")
	at := strings.LastIndex(text, "\n\n")
	if at < 0 {
		return nil
	}
	var values []string
	ours := false
	for line := range strings.SplitSeq(text[at+2:], "\n") {
		if strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t") {
			if ours {
				values[len(values)-1] += " " + strings.TrimSpace(line)
			}
			continue
		}
		key, value, ok := strings.Cut(line, ":")
		if !ok || key == "" || strings.ContainsAny(key, " \t") {
			return nil
		}
		if ours = strings.EqualFold(key, name); ours {
			values = append(values, strings.TrimSpace(value))
		}
	}
	return values
}
