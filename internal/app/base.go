package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/internal/config"
	"github.com/apexlogic/apex/internal/oci"
	"github.com/apexlogic/apex/internal/oci/reference"
	"github.com/apexlogic/apex/internal/policy"
)

// BaseLock is a file with one BaseImageLock. Start with [OpenBaseLock].
type BaseLock struct {
	file string
	doc  v1alpha1.BaseImageLock
	head []byte // comments before the document
}

// The bounds of the kind BaseImageLock, and of its file.
const (
	maxLockedImages = 1024
	maxLockFile     = 8 << 20
)

// OpenBaseLock reads the file. One that is not there is an empty lock, which
// [BaseLock.Write] makes.
func OpenBaseLock(ctx context.Context, file string) (*BaseLock, error) {
	l := &BaseLock{file: file, doc: v1alpha1.BaseImageLock{
		TypeMeta: typeMeta("BaseImageLock"), ObjectMeta: metav1.ObjectMeta{Name: "approved-base-images"},
	}}
	data, err := bounded.ReadFile(file, maxLockFile)
	if errors.Is(err, fs.ErrNotExist) {
		return l, nil
	}
	if err != nil {
		return nil, err
	}
	set, err := config.Load(ctx, config.Bytes(file, data))
	if err != nil {
		return nil, err
	}
	if err := set.Err(); err != nil {
		return nil, err
	}
	if len(set.BaseImageLocks) != 1 || set.Len() != 1 {
		return nil, fmt.Errorf("%s holds %d documents, but a lock file holds one BaseImageLock and nothing else", file, set.Len())
	}
	l.doc = *set.BaseImageLocks[0].Value
	l.doc.TypeMeta = typeMeta("BaseImageLock")
	l.doc.Spec.Images = slices.Clone(l.doc.Spec.Images)
	l.head = leadingComments(data)
	return l, nil
}

// leadingComments are the lines before the document, which people use to say
// who reviews it.
func leadingComments(data []byte) []byte {
	n := 0
	for line := range bytes.Lines(data) {
		if text := bytes.TrimSpace(line); len(text) > 0 && text[0] != '#' {
			break
		}
		n += len(line)
	}
	return data[:n]
}

// Images are the locked images, as the file lists them. They must not be changed.
func (l *BaseLock) Images() []v1alpha1.LockedBaseImage { return l.doc.Spec.Images }

// Names are the images that the lock has, each once, as "repository:tag".
func (l *BaseLock) Names() []string {
	var out []string
	for i := range l.doc.Spec.Images {
		if n := l.doc.Spec.Images[i].Image; !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	return out
}

// Write replaces the file in one step. Comments above the document are kept,
// those within it are not.
func (l *BaseLock) Write(ctx context.Context) error {
	text, err := DocumentYAML(ctx, &l.doc)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(l.file), ".base-lock-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // it is gone after the rename
	_, err = f.Write(append(bytes.Clone(l.head), text...))
	if err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), l.file)
}

// BaseChange is what looking at one image's tag came to.
type BaseChange struct {
	Image  string `json:"image"`
	Digest string `json:"digest"`
	// Added is false when the lock had this digest already.
	Added bool `json:"added"`
	// Kept are older digests of the image, which stay approved.
	Kept      []string `json:"kept,omitempty"`
	Platforms []string `json:"platforms"`
}

// Update resolves the image, "repository:tag", and adds what the tag names now.
// Older digests of the image are kept: images that are built on them may still
// run. platforms limits which platforms of an index are locked; empty: those of
// the image's newest entry, or all when it has none.
func (l *BaseLock) Update(ctx context.Context, registry *oci.Client, image string, platforms []string, now time.Time) (BaseChange, error) {
	ref, err := taggedImage(image)
	if err != nil {
		return BaseChange{}, err
	}
	m, err := registry.Resolve(ctx, ref)
	if err != nil {
		return BaseChange{}, err
	}
	change := BaseChange{Image: image, Digest: string(m.Digest)}
	last, have := -1, -1
	for i := range l.doc.Spec.Images {
		e := &l.doc.Spec.Images[i]
		r, err := reference.Parse(e.Image)
		if err != nil || r.Name() != ref.Name() || r.Tag != ref.Tag {
			continue
		}
		last = i
		change.Image = e.Image // as the lock spells it
		if e.Digest == change.Digest {
			have = i
			continue
		}
		change.Kept = append(change.Kept, e.Digest)
	}
	if len(platforms) == 0 && last >= 0 {
		platforms = platformNames(l.doc.Spec.Images[last].Platforms)
	}
	if have >= 0 && covers(l.doc.Spec.Images[have].Platforms, platforms) {
		change.Platforms = platformNames(l.doc.Spec.Images[have].Platforms)
		return change, nil
	}
	locked, err := lockPlatforms(ctx, registry, ref, &m, platforms)
	if err != nil {
		return BaseChange{}, fmt.Errorf("lock %s: %w", image, err)
	}
	if have >= 0 {
		e := &l.doc.Spec.Images[have]
		merged := mergePlatforms(e.Platforms, locked)
		change.Added = len(merged) > len(e.Platforms)
		change.Platforms = platformNames(merged)
		e.Platforms = merged
		return change, usableBase(*e)
	}
	if len(l.doc.Spec.Images) == maxLockedImages {
		return BaseChange{}, fmt.Errorf("the lock has %d images, its most; take old digests out of %s", maxLockedImages, l.file)
	}
	entry := v1alpha1.LockedBaseImage{
		Image: change.Image, Digest: change.Digest,
		ResolvedAt: metav1.NewTime(now.UTC().Truncate(time.Second)), Platforms: locked,
	}
	if err := usableBase(entry); err != nil {
		return BaseChange{}, err
	}
	at := len(l.doc.Spec.Images)
	if last >= 0 {
		at = last + 1
	}
	l.doc.Spec.Images = slices.Insert(l.doc.Spec.Images, at, entry)
	change.Added, change.Platforms = true, platformNames(locked)
	return change, nil
}

// taggedImage reads "repository:tag": a lock says what a tag named, and when.
func taggedImage(image string) (reference.Reference, error) {
	ref, err := reference.Parse(image)
	if err != nil {
		return ref, err
	}
	if ref.Digest != "" {
		return ref, fmt.Errorf("%s names a digest; a lock records what a tag names, so write %s", image, ref.Name()+":TAG")
	}
	if strings.LastIndexByte(image, ':') <= strings.LastIndexByte(image, '/') {
		return ref, fmt.Errorf("%s has no tag; write repository:tag, as the policy's allowedBaseImages does", image)
	}
	return ref, nil
}

func lockPlatforms(ctx context.Context, registry *oci.Client, ref reference.Reference, m *oci.Manifest, only []string) ([]v1alpha1.LockedPlatform, error) {
	entries := []oci.Platform{{Digest: m.Digest}}
	if m.IsIndex() {
		var err error
		if entries, err = oci.ParseIndex(m.Raw); err != nil {
			return nil, err
		}
	}
	var out []v1alpha1.LockedPlatform
	for _, e := range entries {
		if e.Attestation || (e.Platform != "" && len(only) > 0 && !slices.Contains(only, e.Platform)) {
			continue
		}
		img, err := registry.Image(ctx, ref.Name(), e.Digest)
		if err != nil {
			return nil, err
		}
		if len(only) > 0 && !slices.Contains(only, img.Platform) {
			continue
		}
		if slices.ContainsFunc(out, func(p v1alpha1.LockedPlatform) bool { return p.Platform == img.Platform }) {
			return nil, fmt.Errorf("it has several images for %s, and a lock has one per platform; name the platforms that you use with --platform", img.Platform)
		}
		p := v1alpha1.LockedPlatform{Platform: img.Platform, Digest: string(e.Digest)}
		for _, id := range img.DiffIDs {
			p.DiffIDs = append(p.DiffIDs, string(id))
		}
		out = append(out, p)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("it has no image for %s", strings.Join(only, ", "))
	}
	return out, nil
}

// mergePlatforms adds the platforms that were not locked before. What a digest
// consists of does not change.
func mergePlatforms(have, found []v1alpha1.LockedPlatform) []v1alpha1.LockedPlatform {
	out := slices.Clone(have)
	for _, p := range found {
		if !slices.ContainsFunc(out, func(h v1alpha1.LockedPlatform) bool { return h.Platform == p.Platform }) {
			out = append(out, p)
		}
	}
	return out
}

func covers(have []v1alpha1.LockedPlatform, want []string) bool {
	names := platformNames(have)
	return !slices.ContainsFunc(want, func(w string) bool { return !slices.Contains(names, w) })
}

func platformNames(locked []v1alpha1.LockedPlatform) []string {
	out := make([]string, len(locked))
	for i := range locked {
		out[i] = locked[i].Platform
	}
	return out
}

// usableBase asks the rule itself whether the entry proves anything. A base
// whose layers hold nothing would make the policy not ready.
func usableBase(entry v1alpha1.LockedBaseImage) error {
	var parameters v1alpha1.ImageRuleParameters
	parameters.AllowedBaseImages = []string{entry.Image}
	p := v1alpha1.ImageSecurityPolicy{Spec: v1alpha1.ImageSecurityPolicySpec{
		ImageSelector: &metav1.LabelSelector{},
		Rules: []v1alpha1.ImageRule{{
			Name:       v1alpha1.AllowOnlyApprovedBaseImages,
			Parameters: parameters,
		}},
	}}
	set := policy.Compile(policy.Documents{
		Policies: []v1alpha1.ImageSecurityPolicy{p},
		Locks:    []v1alpha1.BaseImageLock{{Spec: v1alpha1.BaseImageLockSpec{Images: []v1alpha1.LockedBaseImage{entry}}}},
	}, nil)
	if why := set.Policies[0].NotReady; len(why) > 0 {
		return errors.New(strings.Join(why, "; "))
	}
	return nil
}

// BaseLockFile is where a workspace keeps its lock.
func (w Workspace) BaseLockFile() string {
	return filepath.Join(w.Dir, folderPolicies, "approved-base-images.yaml")
}
