package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/internal/ledger"
)

const (
	// diskFail is less than what a day of verdicts and a push need; diskWarn
	// leaves time to act.
	diskFail = 256 << 20
	diskWarn = 1 << 30
)

func diskSpace(_ context.Context, x *examined) finding {
	dir := x.State
	for { // the state's folder may not be made yet
		if _, err := os.Stat(dir); err == nil || filepath.Dir(dir) == dir {
			break
		}
		dir = filepath.Dir(dir)
	}
	ask := x.Free
	if ask == nil {
		ask = freeBytes
	}
	free, err := ask(dir)
	if err != nil {
		return warn("df -h "+quote(dir), "the free space is not known: %v", err)
	}
	fix := "du -xh --max-depth=2 " + quote(dir) + " | sort -rh | head -20"
	switch {
	case free < diskFail:
		return fail(fix, "%d MiB are free at %s; the ledger closes, and with it every door, when nothing is left", free>>20, dir)
	case free < diskWarn:
		return warn(fix, "%d MiB are free at %s", free>>20, dir)
	}
	return fine("%d MiB are free at %s", free>>20, dir)
}

// maxOpenFiles bounds the files that others may read that one finding lists.
const maxOpenFiles = 20

// statePrivate looks at the files whose readers can act as this Apex.
func statePrivate(_ context.Context, x *examined) finding {
	var secrets []string
	for _, pattern := range []string{"token", "cache.key", "keys/*.key", "registry/token", "registry/token.key", "ledger/*/key"} {
		found, err := filepath.Glob(filepath.Join(escapeGlob(x.State), pattern))
		if err != nil {
			return fail("ls -l "+quote(x.State), "the secrets in %s cannot be listed: %v", x.State, err)
		}
		secrets = append(secrets, found...)
	}
	var open []string
	for _, name := range secrets {
		info, err := os.Lstat(name)
		if err != nil || !info.Mode().IsRegular() || info.Mode().Perm()&0o077 != 0 {
			open = append(open, name)
		}
	}
	if len(open) > 0 {
		listed := open[:min(len(open), maxOpenFiles)]
		return fail("chmod 600 "+quoteAll(listed), "others than their owner may read or write %d secrets, such as %s; whoever did can sign and decide as this Apex", len(open), open[0])
	}
	if len(secrets) == 0 {
		return skip("there are no keys and tokens yet")
	}
	return fine("%d keys and tokens are their owner's alone", len(secrets))
}

func escapeGlob(dir string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(dir)
}

func ledgerOpens(ctx context.Context, x *examined) finding {
	if len(x.Ledgers) == 0 {
		return skip("nothing has been recorded yet")
	}
	for _, dir := range x.Ledgers {
		l, err := ledger.Open(ctx, dir, ledger.Options{ReadOnly: true})
		if err == nil {
			err = errors.Join(l.Healthy(), l.Close())
		}
		if err != nil {
			return fail(x.setAside(dir), "the ledger %s cannot be opened, so that nothing can be decided: %v", dir, err)
		}
	}
	return fine("%d ledgers open", len(x.Ledgers))
}

// setAside keeps a damaged ledger as evidence; the next command makes a new one.
func (x *examined) setAside(dir string) string {
	return fmt.Sprintf("mkdir -p %[2]s && mv %[1]s %[2]s", quote(dir), quote(filepath.Join(x.State, "ledger-damaged", x.now.UTC().Format("20060102T150405Z"))))
}

func ledgerCheck(ctx context.Context, x *examined) finding {
	if len(x.Ledgers) == 0 {
		return skip("nothing has been recorded yet")
	}
	// The limit is shared, so that the report comes in time.
	limit := ledgerTime / time.Duration(len(x.Ledgers)+1)
	var records uint64
	for _, dir := range x.Ledgers {
		key, err := x.VerifierKey(dir)
		if err != nil {
			return fail(x.setAside(dir), "the ledger %s cannot be checked: %v", dir, err)
		}
		r, err := ledger.Fsck(ctx, dir, key, limit)
		if err != nil {
			return fail(x.setAside(dir), "the ledger %s cannot be checked: %v", dir, err)
		}
		records += r.Records
		switch {
		case r.OK():
		case !r.Complete && len(r.Problems) == 1: // that it was not complete
			return warn("apex ledger fsck "+quote(dir), "the ledger %s is larger than what can be checked in %s: %d records of it are fine", dir, limit, r.Records)
		default:
			return fail("apex ledger fsck "+quote(dir)+"; "+x.setAside(dir), "the ledger %s is damaged: %s", dir, r.Problems[0])
		}
	}
	return fine("all %d records of %d ledgers are what was written", records, len(x.Ledgers))
}

func meterWritable(_ context.Context, x *examined) finding {
	dir := filepath.Join(x.State, "meter")
	info, err := os.Lstat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return skip("nothing has been metered yet")
	case err != nil:
		return fail("ls -ld "+quote(dir), "the meter's folder cannot be looked at: %v", err)
	case !info.IsDir():
		return fail("mv "+quote(dir)+" "+quote(dir+".aside"), "%s is not a folder, so that nothing can be metered", dir)
	case info.Mode().Perm()&0o700 != 0o700:
		return fail("chmod u+rwx "+quote(dir), "its owner may not write to %s (mode %s)", dir, info.Mode().Perm())
	}
	return fine("%s is writable", dir)
}

// maxDockerConfig bounds Docker's configuration file.
const maxDockerConfig = 4 << 20

func dockerConfig(_ context.Context, x *examined) finding {
	if x.DockerConfig == "" {
		return skip("there is no home directory to look in")
	}
	data, err := bounded.ReadFile(x.DockerConfig, maxDockerConfig)
	if errors.Is(err, fs.ErrNotExist) {
		return skip("there is no " + x.DockerConfig + "; registries are asked without credentials")
	}
	aside := "mv " + quote(x.DockerConfig) + " " + quote(x.DockerConfig+".broken")
	if err != nil {
		return fail("chmod u+r "+quote(x.DockerConfig), "registries cannot be asked with credentials: %v", err)
	}
	var c struct {
		Auths map[string]struct {
			Auth          string `json:"auth"`
			IdentityToken string `json:"identitytoken"`
		} `json:"auths"`
	}
	if err := json.Unmarshal(data, &c); err != nil {
		return fail(aside, "%s is not what Docker writes, so that no credentials are found in it: %v", x.DockerConfig, err)
	}
	secrets := 0
	for _, a := range c.Auths {
		if a.Auth != "" || a.IdentityToken != "" {
			secrets++
		}
	}
	if info, err := os.Stat(x.DockerConfig); err == nil && secrets > 0 && info.Mode().Perm()&0o077 != 0 {
		return warn("chmod 600 "+quote(x.DockerConfig), "others may read the %d passwords in %s (mode %s)", secrets, x.DockerConfig, info.Mode().Perm())
	}
	return fine("%s names %d registries", x.DockerConfig, len(c.Auths))
}
