package cluster

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/kube"
	"github.com/apexlogic/apex/verdict"
)

// Store keeps records and sets as Secrets of Apex's own namespace: sets hold
// what a revision renders to, Secrets included. It implements [gitops.Store] and
// is safe for concurrent use, of several processes, too: a record is replaced
// under its resource version.
//
// A record is one Secret, whose data is compressed; when that would be larger
// than a Secret may be, the record lies beside it, as a set does, and the Secret
// names its digest. A set is a chain of Secrets, written from the last to the
// first, so that a set whose first part is there is complete. Parts are immutable,
// and what is read is compared with its digest.
type Store struct {
	client    *kube.Client
	namespace string
	elsewhere Sets
}

// Sets keeps what is too large for the cluster's own store, a registry for
// example. Its methods are those of [gitops.Store].
type Sets interface {
	PutSet(ctx context.Context, digest verdict.Digest, data []byte) error
	GetSet(ctx context.Context, digest verdict.Digest) ([]byte, error)
	DropSet(ctx context.Context, digest verdict.Digest) error
}

// NewStore returns the store in a namespace ("" for [SystemNamespace]), which has
// to be there. Sets of more than 8 MiB, compressed, go to elsewhere; nil refuses
// them.
func NewStore(client *kube.Client, namespace string, elsewhere Sets) *Store {
	if namespace == "" {
		namespace = SystemNamespace
	}
	return &Store{client, namespace, elsewhere}
}

var secretKind = kube.Kind{Version: "v1", Kind: "Secret"}

// Labels of the store's Secrets.
const (
	labelStore  = "apexlogic.com/store" // source, set or record
	labelDigest = "apexlogic.com/digest"
	labelOwner  = "apexlogic.com/store-source"
	// labelReplaced is the version of the record that these parts were written to
	// replace: parts of the same or an older one are dropped once it is replaced.
	labelReplaced = "apexlogic.com/store-replaced"
)

// maxRecord bounds a record: the inventory of 100,000 objects with their UIDs.
const maxRecord = 64 << 20

// decimal is what resource versions of an API server are; anything else is the
// version of nothing.
var decimal = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[1-9][0-9]{0,19}$`) })

// Load implements [gitops.Store].
func (s *Store) Load(ctx context.Context, source string) ([]byte, string, error) {
	if err := gitops.CheckSource(source); err != nil {
		return nil, "", err
	}
	// A record that was replaced between two reads takes its parts along: look again.
	for attempt := 1; ; attempt++ {
		o, err := s.client.Get(ctx, s.id(recordName(source)))
		if errors.Is(err, kube.ErrNotFound) {
			return nil, "", nil
		}
		if err != nil {
			return nil, "", mapped(err)
		}
		record, err := s.record(ctx, o)
		if errors.Is(err, gitops.ErrNotFound) && attempt < 3 {
			continue
		}
		if err != nil {
			return nil, "", fmt.Errorf("the record of source %s: %w", source, err)
		}
		return record, o.GetResourceVersion(), nil
	}
}

func (s *Store) record(ctx context.Context, o *kube.Object) ([]byte, error) {
	if digest := field(o, "digest"); len(digest) > 0 {
		return s.read(ctx, verdict.Digest(digest), recordPrefix(string(field(o, "replaced"))), maxRecord)
	}
	return unpack(field(o, "record"), maxRecord)
}

// Save implements [gitops.Store].
func (s *Store) Save(ctx context.Context, source string, record []byte, version string) (string, error) {
	if err := gitops.CheckSource(source); err != nil {
		return "", err
	}
	if len(record) > maxRecord {
		return "", fmt.Errorf("the record of source %s has %d bytes, at most %d fit", source, len(record), maxRecord)
	}
	if version != "" && !decimal().MatchString(version) {
		return "", fmt.Errorf("the record of source %s: %w", source, gitops.ErrConflict)
	}
	packed, err := pack(record)
	if err != nil {
		return "", err
	}
	o := s.secret(recordName(source), map[string]string{labelStore: "source"})
	var beside verdict.Digest
	replaced := cmp.Or(version, "0")
	if len(packed) <= partSize {
		setField(o, "record", packed)
	} else {
		beside = digestOf(record)
		labels := map[string]string{labelStore: "record", labelOwner: source, labelReplaced: replaced}
		if err := s.write(ctx, beside, packed, recordPrefix(replaced), labels); err != nil {
			return "", err
		}
		setField(o, "digest", []byte(beside))
		setField(o, "replaced", []byte(replaced))
	}
	next, err := s.replace(ctx, o, version)
	if err != nil {
		return "", fmt.Errorf("the record of source %s: %w", source, err)
	}
	s.tidy(ctx, source, replaced, beside)
	return next, nil
}

// replace writes the Secret when its version is still the given one.
func (s *Store) replace(ctx context.Context, o *kube.Object, version string) (string, error) {
	var saved *kube.Object
	var err error
	if version == "" {
		saved, err = s.client.Create(ctx, o)
		if errors.Is(err, kube.ErrNotFound) {
			return "", fmt.Errorf("namespace %s is not there: run apex install: %w", s.namespace, err)
		}
	} else {
		o.SetResourceVersion(version)
		saved, err = s.client.Update(ctx, o)
		if errors.Is(err, kube.ErrNotFound) {
			return "", gitops.ErrConflict
		}
	}
	if err != nil {
		return "", mapped(err)
	}
	return saved.GetResourceVersion(), nil
}

// tidy drops the parts of a source's older records, and of those that lost
// against the one that was just saved. Parts that were written to replace a newer
// record are somebody else's, who may have been quicker. What it cannot drop now,
// it drops after the next save.
func (s *Store) tidy(ctx context.Context, source, replaced string, keep verdict.Digest) {
	newest, err := strconv.ParseUint(replaced, 10, 64)
	if err != nil {
		return
	}
	ours := ""
	if keep != "" {
		ours = strings.TrimSuffix(partName(recordPrefix(replaced), keep, 0), "000")
	}
	var old []string
	err = s.client.ListMeta(ctx, kube.Selection{Kind: secretKind, Namespace: s.namespace, Labels: labelOwner + "=" + source}, func(m kube.Meta) {
		// Resource versions grow, and are numbers (KEP-5504).
		version, err := strconv.ParseUint(m.Labels[labelReplaced], 10, 64)
		if err == nil && version <= newest && (ours == "" || !strings.HasPrefix(m.Name, ours)) {
			old = append(old, m.Name)
		}
	})
	if err != nil {
		return
	}
	slices.Sort(old) // the first parts first: without it a chain is not there
	for _, name := range old {
		_ = s.client.Delete(ctx, s.id(name), kube.Precondition{})
	}
}

// PutSet implements [gitops.Store].
func (s *Store) PutSet(ctx context.Context, digest verdict.Digest, data []byte) error {
	if digestOf(data) != digest {
		return fmt.Errorf("the set is not what %.80q names", digest)
	}
	packed, err := pack(data)
	if err != nil {
		return err
	}
	if len(packed) <= maxInCluster {
		return s.write(ctx, digest, packed, partsOfSet, map[string]string{labelStore: "set"})
	}
	if s.elsewhere == nil {
		return fmt.Errorf("the set has %d bytes, compressed: the cluster keeps %d; configure a registry for larger ones", len(packed), maxInCluster)
	}
	return s.elsewhere.PutSet(ctx, digest, data)
}

// GetSet implements [gitops.Store].
func (s *Store) GetSet(ctx context.Context, digest verdict.Digest) ([]byte, error) {
	data, err := s.read(ctx, digest, partsOfSet, gitops.MaxSetBytes)
	if !errors.Is(err, gitops.ErrNotFound) || s.elsewhere == nil {
		return data, err
	}
	if data, err = s.elsewhere.GetSet(ctx, digest); err == nil && digestOf(data) != digest {
		return nil, fmt.Errorf("what is kept as set %s is something else", digest)
	}
	return data, err
}

// DropSet implements [gitops.Store].
func (s *Store) DropSet(ctx context.Context, digest verdict.Digest) error {
	if err := s.drop(ctx, digest, partsOfSet); err != nil || s.elsewhere == nil {
		return err
	}
	return s.elsewhere.DropSet(ctx, digest)
}

func (s *Store) id(name string) kube.ID {
	return kube.ID{Kind: secretKind, Namespace: s.namespace, Name: name}
}

func recordPrefix(replaced string) string { return partsOfRecord + replaced + "-" }

func recordName(source string) string { return "apex-source-" + source }

func digestOf(data []byte) verdict.Digest {
	sum := sha256.Sum256(data)
	return verdict.Digest("sha256:" + hex.EncodeToString(sum[:]))
}

var _ gitops.Store = (*Store)(nil)
