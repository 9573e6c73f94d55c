package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

const (
	// Enough for the rooms of one process; PostgreSQL's own default is 100 for all.
	maxConns = 8
	// Connections are renewed, so that a failed-over or re-addressed server is found.
	connLifetime = 30 * time.Minute
	connIdle     = 5 * time.Minute
	// A server that does not answer for this long when a connection is made is down.
	connectTimeout = 10 * time.Second
)

func openPostgres(ctx context.Context, text string) (*DB, error) {
	config, err := postgresConfig(text)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	pool := sql.OpenDB(discreet{stdlib.GetConnector(*config), secrets(text, config)})
	pool.SetMaxOpenConns(maxConns)
	pool.SetMaxIdleConns(maxConns)
	pool.SetConnMaxLifetime(connLifetime)
	pool.SetConnMaxIdleTime(connIdle)
	db := &DB{dialect: Postgres, write: pool, read: pool, name: "postgres " + address(config)}
	if err := db.Ping(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open store: %w", err), pool.Close())
	}
	return db, nil
}

func postgresConfig(text string) (*pgx.ConnConfig, error) {
	// The reason is not shown: it quotes pieces of the text, and with an
	// unescaped "/" or "@" those are pieces of the password.
	u, err := url.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%w: percent-encode special characters in user name and password (a / is %%2F, an @ is %%40)", ErrURL)
	}
	config, err := pgx.ParseConfig(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %s", ErrURL, parseReason(err, secrets(text, nil)))
	}
	mode := u.Query().Get("sslmode")
	if mode == "" {
		mode = os.Getenv("PGSSLMODE")
	}
	if err := checkProtected(config, mode); err != nil {
		return nil, err
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectTimeout
	}
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "apex"
	}
	return config, nil
}

// checkProtected refuses every way to the server that would leave this machine
// in the clear without the operator having said so: "prefer", libpq's default,
// falls back to plain text when anyone in between asks for it.
func checkProtected(config *pgx.ConnConfig, mode string) error {
	if mode == "disable" {
		return nil
	}
	hosts := map[string]bool{}
	if config.TLSConfig == nil {
		hosts[config.Host] = true
	}
	for _, f := range config.Fallbacks {
		if f.TLSConfig == nil {
			hosts[f.Host] = true
		}
	}
	for host := range hosts {
		if !local(host) {
			return fmt.Errorf("the connection to %s could fall back to plain text: add sslmode=verify-full to the URL (sslmode=disable when the network itself is protected)", host)
		}
	}
	return nil
}

func local(host string) bool {
	if strings.HasPrefix(host, "/") || strings.HasPrefix(host, "@") || host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

func address(config *pgx.ConnConfig) string {
	if strings.HasPrefix(config.Host, "/") {
		return config.Host + " " + config.Database
	}
	return net.JoinHostPort(config.Host, fmt.Sprint(config.Port)) + "/" + config.Database
}

// secrets lists every spelling of a password in text or config.
func secrets(text string, config *pgx.ConnConfig) []string {
	var out []string
	add := func(s string) {
		if s != "" {
			out = append(out, s, url.QueryEscape(s), url.PathEscape(s))
		}
	}
	if u, err := url.Parse(text); err == nil {
		if password, ok := u.User.Password(); ok {
			add(password)
			_, raw, _ := strings.Cut(u.User.String(), ":")
			add(raw)
		}
		for _, key := range []string{"password", "sslpassword"} {
			add(u.Query().Get(key))
		}
	}
	if config != nil {
		add(config.Password)
	}
	return out
}

func hide(text string, secrets []string) string {
	for _, s := range secrets {
		text = strings.ReplaceAll(text, s, "[hidden]")
	}
	return text
}

// parseReason is what pgx found wrong, without the connection string that it quotes.
func parseReason(err error, secrets []string) string {
	text := err.Error()
	if i := strings.LastIndex(text, "`: "); i >= 0 {
		text = text[i+len("`: "):]
	}
	return hide(text, secrets)
}

// discreet keeps the password out of errors about connecting: pgx's own carry
// the whole configuration, and a server may say what it likes.
type discreet struct {
	driver.Connector
	secrets []string
}

func (d discreet) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := d.Connector.Connect(ctx)
	if err == nil {
		return conn, nil
	}
	return nil, connectError{text: hide(err.Error(), d.secrets), timeout: ctx.Err()}
}

// connectError is a failure to connect, as text only.
type connectError struct {
	text    string
	timeout error
}

func (e connectError) Error() string { return e.text }
func (e connectError) Unwrap() error { return e.timeout }
