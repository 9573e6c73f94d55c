package trust

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/verdict"
)

// The in-toto statement types that are read. cosign still writes v0.1.
const (
	statementV01 = "https://in-toto.io/Statement/v0.1"
	statementV1  = "https://in-toto.io/Statement/v1"
)

// predicateCosignSign marks a statement that is a plain signature over an image.
const predicateCosignSign = "https://sigstore.dev/cosign/sign/v1"

// AnnotationRepository is the subject annotation that carries the repository
// in signatures of the bundle format, in which cosign itself states none.
const AnnotationRepository = "dev.apexlogic.repository"

// statement is an in-toto statement, as far as verification reads it.
type statement struct {
	statementType string
	predicateType string
	subjects      []fact.AttestationSubject
	annotations   []map[string]string // per subject
	predicate     json.RawMessage
}

// parseStatement reads a signed payload. Unknown fields are ignored (in-toto
// parsing rules); duplicate keys, at any depth, are refused.
func parseStatement(payloadType string, payload []byte) (*statement, error) {
	if payloadType != payloadTypeInToto {
		return nil, fmt.Errorf("payload type is %q, expected %q", clip(payloadType), payloadTypeInToto)
	}
	if err := checkJSON(payload); err != nil {
		return nil, fmt.Errorf("statement: %w", err)
	}
	fields, err := openObject(payload)
	if err != nil {
		return nil, fmt.Errorf("statement: %w", err)
	}
	s := &statement{predicate: fields.get("predicate")}
	if err := decodeString(fields.get("_type"), &s.statementType); err != nil {
		return nil, fmt.Errorf("statement _type: %w", err)
	}
	if s.statementType != statementV01 && s.statementType != statementV1 {
		return nil, fmt.Errorf("statement: _type is %q, expected in-toto Statement v0.1 or v1", clip(s.statementType))
	}
	if err := decodeString(fields.get("predicateType"), &s.predicateType); err != nil {
		return nil, fmt.Errorf("statement predicateType: %w", err)
	}
	if s.predicateType == "" {
		return nil, errors.New("statement: predicateType is empty")
	}
	var subjects [][]byte
	if raw := fields.get("subject"); len(raw) > 0 {
		if subjects, err = array(raw); err != nil {
			return nil, fmt.Errorf("statement subject: %w", err)
		}
	}
	if len(subjects) == 0 {
		return nil, errors.New("statement: it has no subject")
	}
	if len(subjects) > maxSubjects {
		return nil, fmt.Errorf("statement: %d subjects, at most %d are read", len(subjects), maxSubjects)
	}
	for i, raw := range subjects {
		if err := s.addSubject(raw); err != nil {
			return nil, fmt.Errorf("statement subject %d: %w", i, err)
		}
	}
	return s, nil
}

func (s *statement) addSubject(raw []byte) error {
	fields, err := openObject(raw)
	if err != nil {
		return err
	}
	var subject fact.AttestationSubject
	if len(fields.get("name")) > 0 {
		if err := decodeString(fields.get("name"), &subject.Name); err != nil {
			return fmt.Errorf("name: %w", err)
		}
	}
	if raw := fields.get("digest"); len(raw) > 0 {
		digests, err := openObject(raw)
		if err != nil {
			return fmt.Errorf("digest: %w", err)
		}
		if len(digests) > maxDigests {
			return fmt.Errorf("%d digests, at most %d are read", len(digests), maxDigests)
		}
		if sha := digests.get("sha256"); sha != nil {
			var hex string
			if err := decodeString(sha, &hex); err != nil {
				return fmt.Errorf("digest sha256: %w", err)
			}
			if subject.Digest, err = verdict.ParseDigest("sha256:" + hex); err != nil {
				return err
			}
		}
	}
	var annotations map[string]string
	if len(fields.get("annotations")) > 0 {
		if annotations, err = textMap(fields.get("annotations")); err != nil {
			return fmt.Errorf("annotations: %w", err)
		}
	}
	s.subjects = append(s.subjects, subject)
	s.annotations = append(s.annotations, annotations)
	return nil
}

// about returns the index of the first subject with this digest, or -1.
func (s *statement) about(digest verdict.Digest) int {
	for i := range s.subjects {
		if digest != "" && s.subjects[i].Digest == digest {
			return i
		}
	}
	return -1
}

// repository is what the signer says about subject i: its name, or the
// annotation where the name is empty.
func (s *statement) repository(i int) string {
	if name := s.subjects[i].Name; name != "" {
		return name
	}
	return s.annotations[i][AnnotationRepository]
}

// repositoryOf takes tag and digest off a reference, as cosign lets a signer
// claim "registry/app:1.2" in a simple-signing payload.
func repositoryOf(reference string) string {
	repo, _, _ := strings.Cut(reference, "@")
	if colon := strings.LastIndexByte(repo, ':'); colon > strings.LastIndexByte(repo, '/') {
		repo = repo[:colon]
	}
	return repo
}
