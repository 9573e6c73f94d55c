package media

import "io"

// Memory reads content that is in memory. Inspectors that know it look at the
// bytes where they are, without a copy; they do not write to them.
type Memory struct{ rest []byte }

// InMemory returns a reader of content.
func InMemory(content []byte) *Memory { return &Memory{content} }

// Read copies what is next into b.
func (m *Memory) Read(b []byte) (int, error) {
	if len(m.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(b, m.rest)
	m.rest = m.rest[n:]
	return n, nil
}

// Rest returns all that was not read yet, and moves behind it.
func (m *Memory) Rest() []byte {
	all := m.rest
	m.rest = nil
	return all
}
