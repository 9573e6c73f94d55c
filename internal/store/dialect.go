package store

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// Dialect is the engine behind a [DB].
type Dialect uint8

// The engines.
const (
	SQLite Dialect = iota + 1
	Postgres
)

// String names the engine.
func (d Dialect) String() string {
	switch d {
	case SQLite:
		return "sqlite"
	case Postgres:
		return "postgres"
	}
	return "unknown"
}

// Blob is the engine's type of a column of bytes. In migrations it is written {{blob}}.
func (d Dialect) Blob() string {
	if d == Postgres {
		return "BYTEA"
	}
	return "BLOB"
}

// expand replaces the tokens of a migration: {{blob}} is the type of a column
// of bytes. Any other token is an error.
func (d Dialect) expand(query string) (string, error) {
	var out strings.Builder
	for {
		before, rest, found := strings.Cut(query, "{{")
		out.WriteString(before)
		if !found {
			return out.String(), nil
		}
		token, after, closed := strings.Cut(rest, "}}")
		if !closed || token != "blob" {
			return "", fmt.Errorf("unknown token {{%.20s: only {{blob}} is known", rest)
		}
		out.WriteString(d.Blob())
		query = after
	}
}

// Rebind turns the "?" of a statement into what the engine expects: $1, $2, …
// on PostgreSQL, nothing to do on SQLite. Question marks in quotes and comments
// stay. PostgreSQL's operators that are spelled with "?" are not available: use
// their functions (jsonb_exists).
func (d Dialect) Rebind(query string) string {
	if d != Postgres || !strings.Contains(query, "?") {
		return query
	}
	var out strings.Builder
	out.Grow(len(query) + 8)
	n := 0
	for i := 0; i < len(query); {
		if query[i] == '?' {
			n++
			// What stands before and behind must not become part of its name.
			if out.Len() > 0 && nameByte(out.String()[out.Len()-1]) {
				out.WriteByte(' ')
			}
			out.WriteByte('$')
			out.WriteString(strconv.Itoa(n))
			i++
			if i < len(query) && nameByte(query[i]) {
				out.WriteByte(' ')
			}
			continue
		}
		end := tokenEnd(query, i)
		out.WriteString(query[i:end])
		i = end
	}
	return out.String()
}

func nameByte(c byte) bool { return wordByte(c) || c == '$' }

// tokenEnd returns the end of the quoted text or comment that starts at i, or
// i+1 when none does (PostgreSQL, "Lexical Structure").
func tokenEnd(q string, i int) int {
	rest := q[i:]
	switch {
	case rest[0] == '\'':
		// E'...' takes backslashes as escapes; the E must stand alone.
		escapes := i > 0 && (q[i-1] == 'e' || q[i-1] == 'E') && (i == 1 || !wordByte(q[i-2]))
		return quoteEnd(q, i, escapes)
	case rest[0] == '"':
		return quoteEnd(q, i, false)
	case strings.HasPrefix(rest, "--"):
		if nl := strings.IndexByte(rest, '\n'); nl >= 0 {
			return i + nl + 1
		}
		return len(q)
	case strings.HasPrefix(rest, "/*"):
		return commentEnd(q, i)
	case rest[0] == '$' && (i == 0 || !wordByte(q[i-1])):
		return dollarEnd(q, i)
	}
	return i + 1
}

func quoteEnd(q string, i int, escapes bool) int {
	quote := q[i]
	for j := i + 1; j < len(q); j++ {
		switch {
		case escapes && q[j] == '\\':
			j++
		case q[j] == quote && j+1 < len(q) && q[j+1] == quote:
			j++
		case q[j] == quote:
			return j + 1
		}
	}
	return len(q)
}

// commentEnd knows that PostgreSQL's block comments nest.
func commentEnd(q string, i int) int {
	depth := 0
	for j := i; j+1 < len(q); {
		switch q[j : j+2] {
		case "/*":
			depth++
			j += 2
		case "*/":
			depth--
			j += 2
			if depth == 0 {
				return j
			}
		default:
			j++
		}
	}
	return len(q)
}

// dollarEnd returns the end of $tag$...$tag$, or i+1 when i starts none.
func dollarEnd(q string, i int) int {
	j := i + 1
	for j < len(q) && wordByte(q[j]) {
		j++
	}
	if j == len(q) || q[j] != '$' || (j > i+1 && q[i+1] >= '0' && q[i+1] <= '9') {
		return i + 1
	}
	tag := q[i : j+1]
	if end := strings.Index(q[j+1:], tag); end >= 0 {
		return j + 1 + end + len(tag)
	}
	return len(q)
}

func wordByte(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}

// SQLSTATE classes of PostgreSQL that this package tells apart (Appendix A).
const (
	pgSerialization = "40001"
	pgDeadlock      = "40P01"
	pgUnique        = "23505"
)

// Conflict reports whether err says that another writer came first, so that
// nothing happened and the same transaction may succeed when it is tried again.
func Conflict(err error) bool {
	if code, ok := sqliteCode(err); ok {
		primary := code & 0xff
		return primary == sqlite3.SQLITE_BUSY || primary == sqlite3.SQLITE_LOCKED
	}
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == pgSerialization || pg.Code == pgDeadlock)
}

// Duplicate reports whether err says that a row with this key is there already.
func Duplicate(err error) bool {
	if code, ok := sqliteCode(err); ok {
		return code == sqlite3.SQLITE_CONSTRAINT_UNIQUE || code == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY
	}
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == pgUnique
}

func sqliteCode(err error) (int, bool) {
	var lite *sqlite.Error
	if errors.As(err, &lite) {
		return lite.Code(), true
	}
	return 0, false
}
