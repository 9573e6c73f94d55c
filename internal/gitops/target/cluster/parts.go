package cluster

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/klauspost/compress/zstd"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/apexlogic/apex/internal/kube"
	"github.com/apexlogic/apex/verdict"
)

const (
	// partSize is what one Secret holds; an API server takes 1 MiB of data.
	partSize = 900 << 10
	// maxInCluster bounds a set that is kept as Secrets: etcd is small, and
	// everything in it is in every API server's memory.
	maxInCluster = 8 << 20
	// maxParts bounds a chain as it is read: the largest record, were it random.
	maxParts = maxRecord/partSize + 2

	partsOfSet    = "apex-set-"
	partsOfRecord = "apex-record-"
)

func partName(prefix string, digest verdict.Digest, n int) string {
	return fmt.Sprintf("%s%s-%03d", prefix, strings.TrimPrefix(string(digest), "sha256:"), n)
}

// digestLabel is as much of a digest as a label holds.
func digestLabel(digest verdict.Digest) string { return string(digest)[len("sha256:"):][:63] }

// checkDigest says whether the digest can be part of a name.
func checkDigest(digest verdict.Digest) error {
	sum, ok := strings.CutPrefix(string(digest), "sha256:")
	if raw, err := hex.DecodeString(sum); !ok || err != nil || len(raw) != 32 || sum != strings.ToLower(sum) {
		return fmt.Errorf("%.80q is no digest: sha256: and 64 hex digits are needed", digest)
	}
	return nil
}

// write keeps packed data under a digest. Its first part comes last.
func (s *Store) write(ctx context.Context, digest verdict.Digest, packed []byte, prefix string, labels map[string]string) error {
	if err := checkDigest(digest); err != nil {
		return err
	}
	labels[labelDigest] = digestLabel(digest)
	count := max(1, (len(packed)+partSize-1)/partSize)
	for n := count - 1; n >= 0; n-- {
		o := s.secret(partName(prefix, digest, n), labels)
		o.Object["immutable"] = true
		setField(o, "part", packed[min(n*partSize, len(packed)):min((n+1)*partSize, len(packed))])
		setField(o, "parts", []byte(strconv.Itoa(count)))
		_, err := s.client.Create(ctx, o)
		if errors.Is(err, kube.ErrExists) {
			err = s.confirm(ctx, o)
		}
		if errors.Is(err, kube.ErrNotFound) {
			return fmt.Errorf("namespace %s is not there: run apex install: %w", s.namespace, err)
		}
		if err != nil {
			return mapped(err)
		}
	}
	return nil
}

// confirm makes sure that a part that is there already is what would be written:
// an older version of Apex may have compressed otherwise, or somebody else wrote.
func (s *Store) confirm(ctx context.Context, o *kube.Object) error {
	id := kube.IDOf(o)
	there, err := s.client.Get(ctx, id)
	if err == nil && string(field(there, "part")) == string(field(o, "part")) && string(field(there, "parts")) == string(field(o, "parts")) {
		return nil
	}
	if err != nil && !errors.Is(err, kube.ErrNotFound) {
		return err
	}
	if err == nil {
		if err := s.client.Delete(ctx, id, kube.Precondition{UID: string(there.GetUID())}); err != nil {
			return err
		}
	}
	_, err = s.client.Create(ctx, o)
	return err
}

// read returns what is kept under a digest, or [gitops.ErrNotFound]. It is
// compared with the digest.
func (s *Store) read(ctx context.Context, digest verdict.Digest, prefix string, limit int) ([]byte, error) {
	if err := checkDigest(digest); err != nil {
		return nil, err
	}
	var packed []byte
	for n, count := 0, 1; n < count; n++ {
		o, err := s.client.Get(ctx, s.id(partName(prefix, digest, n)))
		if err != nil {
			return nil, mapped(err)
		}
		if n == 0 {
			count, err = strconv.Atoi(string(field(o, "parts")))
			if err != nil || count < 1 || count > maxParts {
				return nil, fmt.Errorf("%s: its number of parts is not one", partName(prefix, digest, n))
			}
		}
		packed = append(packed, field(o, "part")...)
	}
	data, err := unpack(packed, limit)
	if err != nil {
		return nil, fmt.Errorf("what is kept as %s: %w", digest, err)
	}
	if digestOf(data) != digest {
		return nil, fmt.Errorf("what is kept as %s is something else: somebody changed the Secrets of namespace %s", digest, s.namespace)
	}
	return data, nil
}

// drop deletes a chain, its first part first. Parts of a chain that was never
// completed go, too.
func (s *Store) drop(ctx context.Context, digest verdict.Digest, prefix string) error {
	if err := checkDigest(digest); err != nil {
		return err
	}
	if err := s.client.Delete(ctx, s.id(partName(prefix, digest, 0)), kube.Precondition{}); err != nil {
		return mapped(err)
	}
	stem := strings.TrimSuffix(partName(prefix, digest, 0), "000")
	var rest []string
	selected := kube.Selection{Kind: secretKind, Namespace: s.namespace, Labels: labelDigest + "=" + digestLabel(digest)}
	err := s.client.ListMeta(ctx, selected, func(m kube.Meta) {
		if strings.HasPrefix(m.Name, stem) {
			rest = append(rest, m.Name)
		}
	})
	if err != nil {
		return mapped(err)
	}
	for _, name := range rest {
		if err := s.client.Delete(ctx, s.id(name), kube.Precondition{}); err != nil {
			return mapped(err)
		}
	}
	return nil
}

// secret returns an empty Secret of the store.
func (s *Store) secret(name string, labels map[string]string) *kube.Object {
	o := &kube.Object{Object: map[string]any{"apiVersion": "v1", "kind": "Secret", "type": "apexlogic.com/store", "data": map[string]any{}}}
	o.SetNamespace(s.namespace)
	o.SetName(name)
	o.SetLabels(labels)
	return o
}

func setField(o *kube.Object, key string, value []byte) {
	o.Object["data"].(map[string]any)[key] = base64.StdEncoding.EncodeToString(value)
}

// field returns a value of a Secret; nothing when it is not there.
func field(o *kube.Object, key string) []byte {
	text, _, _ := unstructured.NestedString(o.Object, "data", key)
	value, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil
	}
	return value
}

// pack compresses. The same data gives the same bytes in one version of Apex.
func pack(data []byte) ([]byte, error) {
	w, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return nil, err
	}
	defer w.Close()
	return w.EncodeAll(data, nil), nil
}

// unpack reads what pack wrote, and no more than the limit.
func unpack(packed []byte, limit int) ([]byte, error) {
	const window = 8 << 20 // what zstd asks readers to grant (RFC 8878 §3.1.1.1.2)
	r, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(uint64(max(limit, window))))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	data, err := r.DecodeAll(packed, []byte{})
	if err != nil {
		return nil, fmt.Errorf("it cannot be read: %w", err)
	}
	if len(data) > limit {
		return nil, fmt.Errorf("it has more than %d bytes", limit)
	}
	return data, nil
}
