package repo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
)

// The client's side of gitprotocol-v2(5), and of gitprotocol-pack(5) for servers
// that do not know it. Never asked for: shallow histories, filters, thin packs,
// progress, and packs from other places.

const (
	// What a server may say about itself, and its references. 1 MiB of lines of
	// references are some 10,000 of them; servers of version 0 list all.
	maxCapabilities = 64 << 10
	maxAdvertised   = 16 << 20

	agent = "apex"
)

// wire carries requests to a server and its answers back.
type wire interface {
	// advertisement is what the server says first.
	advertisement(ctx context.Context) (io.Reader, error)
	// request sends a whole message and returns the answer.
	request(ctx context.Context, message []byte) (io.Reader, error)
	// close ends the exchange; early says that the answer was not read to its end.
	close(early bool) error
}

// capabilities are what a server of version 2 can do.
type capabilities struct {
	fetch        bool
	objectFormat bool // it wants to be told
}

// session is one exchange with a server.
type session struct {
	remote *Remote
	wire   wire
	caps   *capabilities // nil: version 0, whose references are in refs
	refs   map[string]plumbing.Hash
	left   int64 // of the budget of bytes
}

// dial begins an exchange. A server that is known to speak version 2 over HTTP
// is not asked again what it can do.
func (r *Remote) dial(ctx context.Context) (*session, error) {
	s := &session{remote: r, left: r.limits.Bytes}
	r.mu.Lock()
	s.caps = r.known
	r.mu.Unlock()
	if r.web != nil {
		cred, err := r.credentials(ctx)
		if err != nil {
			return nil, err
		}
		s.wire = &webWire{client: r.web, credentials: cred}
		if s.caps != nil {
			return s, nil
		}
	} else {
		w, err := r.dialSSH(ctx)
		if err != nil {
			return nil, err
		}
		s.wire = w
	}
	if err := s.greet(ctx); err != nil {
		return nil, errors.Join(err, s.close(err))
	}
	return s, nil
}

// close ends the exchange. What the server did wrong is reported already.
func (s *session) close(err error) error {
	if err != nil && (errors.Is(err, ErrProtocol) || errors.Is(err, ErrRemote) || errors.Is(err, ErrRedirect)) {
		s.remote.mu.Lock()
		s.remote.known = nil // it may have changed: ask again next time
		s.remote.mu.Unlock()
	}
	return s.wire.close(err != nil)
}

// lines reads an answer within the budget of bytes, and within a limit of its own.
func (s *session) lines(r io.Reader, limit int64) *pktReader {
	own := limit
	return newPktReader(budget{budget{r, &s.left, s.remote.limits.Bytes}, &own, limit})
}

// greet reads what the server says about itself.
func (s *session) greet(ctx context.Context) error {
	r, err := s.wire.advertisement(ctx)
	if err != nil {
		return err
	}
	lines := s.lines(r, maxAdvertised)
	kind, first, err := lines.line()
	if err == nil && kind == pktData && strings.HasPrefix(first, "# service=") { // HTTP only
		if kind, _, err = lines.line(); err == nil && kind != pktFlush {
			err = fmt.Errorf("%w: its first answer does not begin as it should", ErrProtocol)
		}
		if err == nil {
			kind, first, err = lines.line()
		}
	}
	if err == nil && kind == pktData && first == "version 1" {
		kind, first, err = lines.line()
	}
	switch {
	case errors.Is(err, io.EOF):
		return fmt.Errorf("%w: it says nothing", ErrProtocol)
	case err != nil:
		return err
	case kind == pktData && first == "version 2":
		return s.readCapabilities(lines)
	}
	return s.readRefs(lines, kind, first)
}

func (s *session) readCapabilities(lines *pktReader) error {
	caps, total := &capabilities{}, 0
	for {
		kind, line, err := lines.line()
		if err != nil {
			return unended(err)
		}
		if kind != pktData {
			break
		}
		if total += len(line); total > maxCapabilities {
			return fmt.Errorf("%w: its capabilities have more than %d bytes", ErrTooLarge, maxCapabilities)
		}
		key, value, _ := strings.Cut(line, "=")
		switch key {
		case "fetch":
			caps.fetch = true
		case "object-format":
			if value != "sha1" {
				return notSHA1(value)
			}
			caps.objectFormat = true
		}
	}
	if !caps.fetch {
		return fmt.Errorf("%w: it cannot be fetched from", ErrProtocol)
	}
	s.caps = caps
	s.remote.mu.Lock()
	s.remote.known = caps
	s.remote.mu.Unlock()
	return nil
}

func notSHA1(format string) error {
	return fmt.Errorf("%w: its objects are named by %.20q; make one with git init --object-format=sha1", ErrUnsupported, format)
}

// unended is for answers that end where another line has to come.
func unended(err error) error {
	if errors.Is(err, io.EOF) {
		return cutOff(io.ErrUnexpectedEOF)
	}
	return err
}

// readRefs reads the references that a server of version 0 lists.
func (s *session) readRefs(lines *pktReader, kind pktKind, line string) error {
	s.refs = map[string]plumbing.Hash{}
	for first := true; kind == pktData; first = false {
		if first {
			names, caps, _ := strings.Cut(line, "\x00")
			line = names
			if err := checkCapabilities(caps); err != nil {
				return err
			}
		}
		if strings.HasPrefix(line, "shallow ") {
			return fmt.Errorf("%w; fetch from a whole one", ErrShallow)
		}
		hex, name, ok := strings.Cut(line, " ")
		h, err := parseHash(hex)
		if !ok || err != nil {
			return fmt.Errorf("%w: %.60q is not a reference", ErrProtocol, line)
		}
		if _, twice := s.refs[name]; twice {
			return fmt.Errorf("%w: it lists %.100q twice", ErrProtocol, name)
		}
		s.refs[name] = h
		if kind, line, err = lines.line(); err != nil {
			return unended(err)
		}
	}
	return nil
}

func checkCapabilities(line string) error {
	caps := strings.Fields(line)
	for _, c := range caps {
		if format, ok := strings.CutPrefix(c, "object-format="); ok && format != "sha1" {
			return notSHA1(format)
		}
	}
	for _, need := range []string{"side-band-64k", "ofs-delta"} {
		if !slices.Contains(caps, need) {
			return fmt.Errorf("%w: it does not offer %s, which Git has had since 2006", ErrProtocol, need)
		}
	}
	return nil
}

// parseHash reads 40 lower-case hex digits.
func parseHash(hex string) (plumbing.Hash, error) { return Commit(hex).hash() }

// command begins a request of version 2.
func (s *session) command(name string) []byte {
	out := pktLine(nil, "command=%s\n", name)
	out = pktLine(out, "agent=%s\n", agent)
	if s.caps.objectFormat {
		out = pktLine(out, "object-format=sha1\n")
	}
	return append(out, delimPkt...)
}

// lsRefs looks one reference up.
func (s *session) lsRefs(ctx context.Context, ref string) (Tip, error) {
	if s.caps == nil {
		h, ok := s.refs[ref]
		if !ok {
			return Tip{}, notThere(ref)
		}
		tip := Tip{Object: h.String()}
		if peeled, ok := s.refs[ref+"^{}"]; ok {
			h = peeled
		}
		tip.Commit = Commit(h.String())
		return tip, nil
	}
	message := s.command("ls-refs")
	message = pktLine(message, "peel\n")
	message = pktLine(message, "ref-prefix %s\n", ref)
	r, err := s.wire.request(ctx, append(message, flushPkt...))
	if err != nil {
		return Tip{}, err
	}
	// Others that begin with the name come too.
	lines := s.lines(r, maxAdvertised)
	var found Tip
	for {
		kind, line, err := lines.line()
		if err != nil {
			return Tip{}, unended(err)
		}
		if kind != pktData {
			break
		}
		hex, rest, _ := strings.Cut(line, " ")
		name, attributes, _ := strings.Cut(rest, " ")
		if name != ref {
			continue
		}
		if hex == "unborn" {
			break
		}
		if found.Object != "" {
			return Tip{}, fmt.Errorf("%w: it lists %s twice", ErrProtocol, ref)
		}
		if found, err = parseTip(hex, attributes); err != nil {
			return Tip{}, err
		}
	}
	if found.Object == "" {
		return Tip{}, notThere(ref)
	}
	return found, nil
}

func parseTip(hex, attributes string) (Tip, error) {
	if _, err := parseHash(hex); err != nil {
		return Tip{}, fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	tip := Tip{Object: hex, Commit: Commit(hex)}
	for _, a := range strings.Fields(attributes) {
		if peeled, ok := strings.CutPrefix(a, "peeled:"); ok {
			if _, err := parseHash(peeled); err != nil {
				return Tip{}, fmt.Errorf("%w: %w", ErrProtocol, err)
			}
			tip.Commit = Commit(peeled)
		}
	}
	return tip, nil
}

func notThere(ref string) error {
	return fmt.Errorf("%w: it has no %s: push it, or name another branch", ErrNotFound, ref)
}

// fetch asks for everything that the object want needs beyond what the objects
// in haves have, and returns the pack.
func (s *session) fetch(ctx context.Context, want plumbing.Hash, haves []plumbing.Hash) (io.Reader, error) {
	if s.caps == nil {
		return s.fetchV0(ctx, want, haves)
	}
	message := s.command("fetch")
	for _, option := range []string{"ofs-delta", "no-progress"} {
		message = pktLine(message, "%s\n", option)
	}
	message = pktLine(message, "want %s\n", want)
	for _, h := range haves {
		message = pktLine(message, "have %s\n", h)
	}
	message = pktLine(message, "done\n")
	r, err := s.wire.request(ctx, append(message, flushPkt...))
	if err != nil {
		return nil, err
	}
	lines := s.lines(r, s.remote.limits.Bytes)
	kind, section, err := lines.line()
	switch {
	case err != nil:
		return nil, unended(err)
	case kind == pktData && section == "packfile":
		return &sideBand{lines: lines}, nil
	case kind == pktData && section == "shallow-info":
		return nil, fmt.Errorf("%w; fetch from a whole one", ErrShallow)
	}
	return nil, fmt.Errorf("%w: it sends %.40q instead of a pack", ErrProtocol, section)
}

func (s *session) fetchV0(ctx context.Context, want plumbing.Hash, haves []plumbing.Hash) (io.Reader, error) {
	message := pktLine(nil, "want %s side-band-64k ofs-delta no-progress agent=%s\n", want, agent)
	message = append(message, flushPkt...)
	for _, h := range haves {
		message = pktLine(message, "have %s\n", h)
	}
	r, err := s.wire.request(ctx, pktLine(message, "done\n"))
	if err != nil {
		return nil, err
	}
	lines := s.lines(r, s.remote.limits.Bytes)
	// The first object that both have, or that there is none.
	kind, line, err := lines.line()
	if err != nil {
		return nil, unended(err)
	}
	if kind != pktData || line != "NAK" && !strings.HasPrefix(line, "ACK ") {
		return nil, fmt.Errorf("%w: it answers %.40q to what we have", ErrProtocol, line)
	}
	return &sideBand{lines: lines, acks: true}, nil
}
