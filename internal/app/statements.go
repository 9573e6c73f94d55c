package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/repo"
	"github.com/apexlogic/apex/internal/sbom/format"
	"github.com/apexlogic/apex/internal/verify"
)

// folderVEX is where the workspace keeps statements, each with its bundle beside it.
const folderVEX = "vex"

// Statements reads the statements of documents. Each is signed by whoever the
// bundle beside the document says, if the trust in force believes them; where
// several signed it, it is one statement of each. Without trust nobody has.
func Statements(g *verify.Generation, documents []verify.Source, now time.Time) ([]fact.VEX, error) {
	var out []fact.VEX
	for i := range documents {
		d := &documents[i]
		_, statements, _, err := format.Read(d.Content)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", d.Path, err)
		}
		var signers []fact.Signing
		if g != nil {
			signers = g.VEX(d, now)
		}
		if len(signers) == 0 {
			out = append(out, statements...)
		}
		for _, s := range signers {
			for _, statement := range statements {
				statement.Signing = s
				out = append(out, statement)
			}
		}
	}
	return out, nil
}

// ReadStatements reads documents and the bundles beside them.
func ReadStatements(paths []string) ([]verify.Source, error) {
	var out []verify.Source
	for _, p := range paths {
		content, err := bounded.ReadFile(p, maxDocument)
		if err != nil {
			return nil, err
		}
		bundle, err := bounded.ReadFile(p+BundleSuffix, maxSourceFile)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		out = append(out, verify.Source{Path: p, Content: content, Bundle: bundle})
	}
	return out, nil
}

// VEX returns the documents with statements of the commit at the head.
func (w Workspace) VEX(ctx context.Context) ([]verify.Source, error) {
	var out []verify.Source
	err := w.atHead(ctx, func(_ repo.Commit, files fs.FS) error {
		entries, err := fs.ReadDir(files, folderVEX)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		var names []string
		for _, e := range entries {
			if name := e.Name(); e.Type().IsRegular() && strings.HasSuffix(name, ".json") && !strings.HasSuffix(name, BundleSuffix) {
				names = append(names, path.Join(folderVEX, name))
			}
		}
		out, err = sourcesOf(files, names)
		return err
	})
	return out, err
}

// UseVEX puts the statements in force beside the policies that were published
// last: they are believed under that trust. Documents that cannot be read leave
// those before them in force.
func (e *Engine) UseVEX(documents []verify.Source, now time.Time) error {
	statements, err := Statements(e.Verifier.Generation(), documents, now)
	if err != nil {
		return err
	}
	h := sha256.New()
	for i := range documents {
		fmt.Fprintf(h, "%d %s %d %s", len(documents[i].Content), documents[i].Content, len(documents[i].Bundle), documents[i].Bundle)
	}
	e.Matcher.use(slices.Clip(statements), hex.EncodeToString(h.Sum(nil)[:8]))
	return nil
}
