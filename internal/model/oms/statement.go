package oms

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/verdict"
)

// The shape of the signed statement (OMS §6.6), in the order in which it is written.
type (
	statementJSON struct {
		Type          string        `json:"_type"`
		Subject       []subjectJSON `json:"subject"`
		PredicateType string        `json:"predicateType"`
		Predicate     predicateJSON `json:"predicate"`
	}
	subjectJSON struct {
		Name   string            `json:"name"`
		Digest map[string]string `json:"digest"`
	}
	predicateJSON struct {
		Resources     []resourceJSON    `json:"resources"`
		Serialization serializationJSON `json:"serialization"`
	}
	resourceJSON struct {
		Name      string    `json:"name"`
		Algorithm Algorithm `json:"algorithm"`
		Digest    string    `json:"digest"`
	}
	serializationJSON struct {
		Method        Method    `json:"method"`
		Algorithm     Algorithm `json:"hash_type"`
		ShardSize     int64     `json:"shard_size,omitempty"`
		AllowSymlinks bool      `json:"allow_symlinks"`
		IgnorePaths   []string  `json:"ignore_paths,omitempty"`
	}
)

// statement is the payload that is signed; the same manifest gives the same bytes.
func (m *Manifest) statement() ([]byte, error) {
	s := &m.Serialization
	st := statementJSON{
		Type:          statementType,
		Subject:       []subjectJSON{{Name: m.Name, Digest: map[string]string{"sha256": m.Root().Hex()}}},
		PredicateType: predicateV1,
		Predicate: predicateJSON{Serialization: serializationJSON{
			Method: s.Method, Algorithm: s.Algorithm, ShardSize: s.ShardSize,
			AllowSymlinks: s.AllowSymlinks, IgnorePaths: s.IgnorePaths,
		}},
	}
	for _, r := range m.Resources {
		st.Predicate.Resources = append(st.Predicate.Resources, resourceJSON{r.Name, s.Algorithm, r.Digest})
	}
	return marshal(st)
}

// marshal writes JSON without the escapes that only web pages need.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// readStatement reads the payload.
func (b *Bundle) readStatement() error {
	if err := bounded.CheckJSON(b.payload, maxPayloadDepth); err != nil {
		return err
	}
	st, err := object(b.payload, "_type", "subject", "predicateType", "predicate")
	if err != nil {
		return err
	}
	if err := st.only(); err != nil {
		return err
	}
	kind, err := text(st.get("_type"))
	if err != nil {
		return fmt.Errorf("_type: %w", err)
	}
	if kind != statementType {
		return fmt.Errorf("_type is %q, expected %q", clip(kind), statementType)
	}
	if b.PredicateType, err = text(st.get("predicateType")); err != nil {
		return fmt.Errorf("predicateType: %w", err)
	}
	subjects, err := array(st.get("subject"))
	if err != nil {
		return fmt.Errorf("subject: %w", err)
	}
	b.predicate = st.get("predicate")
	switch b.PredicateType {
	case predicateV1:
		return b.readV1(subjects)
	case predicateV02:
		return b.readV02(subjects)
	}
	return fmt.Errorf("predicateType is %q, expected %q", clip(b.PredicateType), predicateV1)
}

func (b *Bundle) readV1(subjects []json.RawMessage) error {
	if len(subjects) != 1 {
		return fmt.Errorf("%d subjects, expected the model alone", len(subjects))
	}
	name, digest, err := readSubject(subjects[0])
	if err != nil {
		return err
	}
	predicate, err := object(b.predicate, "resources", "serialization")
	if err != nil {
		return fmt.Errorf("predicate: %w", err)
	}
	m := &Manifest{Name: name}
	if m.Serialization, err = readSerialization(predicate.get("serialization")); err != nil {
		return fmt.Errorf("serialization: %w", err)
	}
	resources, err := array(predicate.get("resources"))
	if err != nil {
		return fmt.Errorf("resources: %w", err)
	}
	m.Resources = make([]Resource, 0, len(resources))
	for i, raw := range resources {
		r, err := m.Serialization.readResource(raw)
		if err != nil {
			return fmt.Errorf("resource %d: %w", i, err)
		}
		m.Resources = append(m.Resources, r)
	}
	if err := m.check(); err != nil {
		return err
	}
	if root := m.Root(); root != digest {
		return fmt.Errorf("the subject is %s and the resources make up %s", digest, root)
	}
	b.Manifest, b.Root, b.about = m, digest, digest
	return nil
}

func readSubject(raw []byte) (string, verdict.Digest, error) {
	s, err := object(raw, "name", "digest")
	if err != nil {
		return "", "", fmt.Errorf("subject: %w", err)
	}
	name, err := text(s.get("name"))
	if err != nil || name == "" {
		return "", "", errors.Join(errors.New("subject: it has no name"), err)
	}
	set, err := object(s.get("digest"), "sha256")
	if err != nil {
		return "", "", fmt.Errorf("subject digest: %w", err)
	}
	hex, err := text(set.get("sha256"))
	if err != nil {
		return "", "", fmt.Errorf("subject digest sha256: %w", err)
	}
	digest, err := verdict.ParseDigest("sha256:" + hex)
	if err != nil {
		return "", "", fmt.Errorf("subject: %w", err)
	}
	return name, digest, nil
}

// readSerialization refuses fields that it does not know: they might change
// what the list of files means.
func readSerialization(raw []byte) (Serialization, error) {
	var s Serialization
	f, err := object(raw, "method", "hash_type", "shard_size", "allow_symlinks", "ignore_paths")
	if err != nil {
		return s, err
	}
	if err := f.only(); err != nil {
		return s, err
	}
	method, err := text(f.get("method"))
	if err != nil {
		return s, fmt.Errorf("method: %w", err)
	}
	hash, err := text(f.get("hash_type"))
	if err != nil {
		return s, fmt.Errorf("hash_type: %w", err)
	}
	s.Method, s.Algorithm = Method(method), Algorithm(hash)
	if size := f.get("shard_size"); size != nil {
		// Writers that keep every number as a double write 1000000000.0.
		var n json.Number
		if err := json.Unmarshal(size, &n); err != nil {
			return s, errors.New("shard_size: expected a number")
		}
		if s.ShardSize, err = json.Number(strings.TrimSuffix(string(n), ".0")).Int64(); err != nil || s.ShardSize <= 0 {
			return s, errors.New("shard_size: expected a positive whole number")
		}
	}
	switch string(f.get("allow_symlinks")) {
	case "true":
		s.AllowSymlinks = true
	case "false":
	default:
		return s, errors.New("allow_symlinks: expected true or false")
	}
	if paths := f.get("ignore_paths"); paths != nil {
		list, err := array(paths)
		if err != nil {
			return s, fmt.Errorf("ignore_paths: %w", err)
		}
		if len(list) > maxIgnore {
			return s, fmt.Errorf("ignore_paths: %d paths, at most %d are read", len(list), maxIgnore)
		}
		for _, raw := range list {
			p, err := text(raw)
			if err != nil {
				return s, fmt.Errorf("ignore_paths: %w", err)
			}
			s.IgnorePaths = append(s.IgnorePaths, p)
		}
	}
	return s, nil
}

func (s *Serialization) readResource(raw []byte) (Resource, error) {
	var r Resource
	f, err := object(raw)
	if err != nil {
		return r, err
	}
	if r.Name, err = text(f.get("name")); err != nil {
		return r, fmt.Errorf("name: %w", err)
	}
	if r.Digest, err = text(f.get("digest")); err != nil {
		return r, fmt.Errorf("digest: %w", err)
	}
	algorithm, err := text(f.get("algorithm"))
	if err != nil {
		return r, fmt.Errorf("algorithm: %w", err)
	}
	// The reference implementation names the shard size here once more.
	sharded := fmt.Sprintf("%s-sharded-%d", s.Algorithm, s.ShardSize)
	if algorithm != string(s.Algorithm) && (s.Method != Shards || algorithm != sharded) {
		return r, fmt.Errorf("%q is hashed with %q and hash_type is %q", clip(r.Name), clip(algorithm), clip(string(s.Algorithm)))
	}
	return r, nil
}

// readV02 reads the layout of v0.2: each file is a subject, and nothing says
// how files were found.
func (b *Bundle) readV02(subjects []json.RawMessage) error {
	m := &Manifest{Name: "model", Serialization: Serialization{Method: Files, Algorithm: SHA256}}
	for i, raw := range subjects {
		name, digest, err := readSubject(raw)
		if err != nil {
			return fmt.Errorf("subject %d: %w", i, err)
		}
		s, _ := object(raw, "annotations")
		if notes := s.get("annotations"); notes != nil {
			how, err := object(notes, "actual_hash_algorithm")
			if err != nil {
				return fmt.Errorf("subject %d annotations: %w", i, err)
			}
			if a := how.get("actual_hash_algorithm"); a != nil && string(a) != `"file-sha256"` {
				return fmt.Errorf("subject %d is hashed with %s, expected file-sha256", i, clip(string(a)))
			}
		}
		m.Resources = append(m.Resources, Resource{Name: name, Digest: digest.Hex()})
		if i == 0 {
			b.about = digest
		}
	}
	// Their order means nothing here: there is no root digest.
	slices.SortFunc(m.Resources, func(a, b Resource) int { return strings.Compare(a.Name, b.Name) })
	if err := m.check(); err != nil {
		return err
	}
	b.Manifest, b.Root = m, m.Root()
	return nil
}
