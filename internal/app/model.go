package app

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/image"
	"github.com/apexlogic/apex/internal/model"
	"github.com/apexlogic/apex/internal/model/artifact"
	"github.com/apexlogic/apex/internal/model/oms"
	"github.com/apexlogic/apex/internal/model/scan"
	"github.com/apexlogic/apex/internal/oci"
	"github.com/apexlogic/apex/internal/oci/reference"
	"github.com/apexlogic/apex/internal/trust"
	"github.com/apexlogic/apex/verdict"
)

// PackOptions say how [PackModel] packs.
type PackOptions struct {
	Key         crypto.Signer // signs model, artifact and scan; nil: nothing is signed
	Description artifact.Description
	Ignore      []string
	// Provenance is an SLSA v1 predicate to attest; nil: none.
	Provenance []byte
	// Force packs a model that the scan would block; what was found is attested.
	Force    bool
	Clock    clock.Clock
	Progress func(oms.Progress)
	Sending  func(int64)
}

// PackedModel is what [PackModel] made.
type PackedModel struct {
	Schema string         `json:"schema"`
	Ref    verdict.Ref    `json:"ref"`
	Tag    string         `json:"tag"`
	Root   verdict.Digest `json:"root"` // OpenSSF Model Signing root of the files
	Files  int            `json:"files"`
	Bytes  int64          `json:"bytes"`
	Scan   scan.Verdict   `json:"scan"`
	Signed bool           `json:"signed"`
	// Attached is how many signatures and attestations were added: what the key
	// has signed about the artifact already is not added again.
	Attached int `json:"attached"`
	// Superseded are older scans that are attached still, and that no policy
	// counts beside the new one. They may be deleted from the registry.
	Superseded []verdict.Digest `json:"superseded,omitempty"`
}

// BlockedError is the refusal to pack a model in which the scan found something.
type BlockedError struct{ Report model.Report }

func (e *BlockedError) Error() string {
	for i := range e.Report.Files {
		f := &e.Report.Files[i]
		if f.Verdict.Blocked() && len(f.Findings) > 0 {
			return fmt.Sprintf("the model is %s and is not packed: %s: %s (%s)", e.Report.Verdict, f.Path, f.Findings[0].Detail, f.Findings[0].Rule)
		}
	}
	return fmt.Sprintf("the model is %s and is not packed", e.Report.Verdict)
}

// PackModel hashes and scans the model at path in one pass, pushes it as an
// artifact, and attaches what is signed about it: an OpenSSF Model Signing bundle
// over its files, a signature over the artifact, and the scan. Statements name the
// artifact's digest and the files' root, so that all of them are about one subject.
// The reference's tag is made last: nobody sees it without the evidence, and the
// gate of a registry finds the evidence when it is asked about the tag.
func PackModel(ctx context.Context, registry *oci.Client, path string, ref reference.Reference, o PackOptions) (*PackedModel, error) {
	if o.Clock == nil {
		o.Clock = clock.System{}
	}
	examined, err := model.New(scan.Limits{}).Examine(ctx, path, oms.Options{Ignore: o.Ignore, Work: oms.Work{Progress: o.Progress}}, scan.Options{})
	if err != nil {
		return nil, err
	}
	if len(examined.Twins) > 0 {
		return nil, fmt.Errorf("the files %q are one file on some systems; rename one of them", examined.Twins[0])
	}
	if examined.Report.Verdict.Blocked() && !o.Force {
		return nil, &BlockedError{examined.Report}
	}
	finished := o.Clock.Now()
	formats := map[string]string{}
	for i := range examined.Report.Files {
		formats[examined.Report.Files[i].Path] = examined.Report.Files[i].Format()
	}
	packed, err := artifact.Pack(ctx, registry, ref, path, examined.FilesOf(), formats, described(o.Description, &examined.Report), o.Sending)
	if err != nil {
		return nil, err
	}
	out := &PackedModel{
		Schema: "apex.model-pack/v1", Ref: verdict.Ref{Kind: verdict.KindModel, Repo: ref.Name(), Digest: packed.Descriptor.Digest}, Tag: ref.Tag,
		Root: examined.Manifest.Root(), Files: examined.Files, Bytes: examined.Bytes, Scan: examined.Report.Verdict,
	}
	if o.Key != nil {
		if err := signModel(ctx, registry, out, packed.Descriptor, examined, finished, &o); err != nil {
			return nil, fmt.Errorf("the model was pushed as %s, without a tag, and signing it failed: %w", out.Ref, err)
		}
		out.Signed = true
	}
	if err := packed.Tag(ctx); err != nil {
		return nil, err
	}
	return out, nil
}

// described adds what the files say of themselves to what the caller says.
func described(d artifact.Description, r *model.Report) artifact.Description {
	if len(d.Licenses) == 0 {
		d.Licenses = r.Property("license")
	}
	if a := r.Property("architecture"); d.Architecture == "" && len(a) > 0 {
		d.Architecture = a[0]
	}
	if d.Format == "" {
		for i := range r.Files {
			switch f := r.Files[i].Format(); f {
			case "safetensors", "gguf", "onnx", "torch-zip":
				d.Format = f
			}
		}
	}
	return d
}

func signModel(ctx context.Context, registry *oci.Client, out *PackedModel, subject oci.Descriptor, examined *model.Examined, finished time.Time, o *PackOptions) error {
	repo := out.Ref.Repo
	// The name of a folder may hold what would be a tag or a digest in that of a subject.
	name := strings.NewReplacer(":", "_", "@", "_").Replace(examined.Manifest.Name)
	known, err := evidenceOf(ctx, registry, o.Key, o.Clock, repo, subject, image.Places{Bundles: true, Contents: []verdict.Digest{out.Root}})
	if err != nil {
		return err
	}
	attach := func(bundle []byte, predicateType string) error {
		added, err := known.attach(ctx, bundle, predicateType)
		if added {
			out.Attached++
		}
		return err
	}
	bundle, err := oms.Sign(examined.Manifest, oms.Signer{Key: o.Key})
	if err != nil {
		return err
	}
	if err := attach(bundle, fact.PredicateModelSignature); err != nil {
		return err
	}
	signature, err := trust.SignImage(o.Key, repo, subject.Digest, nil)
	if err != nil {
		return err
	}
	if err := attach(signature, predicateSign); err != nil {
		return err
	}
	state := func(kind string, predicate []byte) error {
		bundle, err := trust.AttestContent(o.Key, repo, subject.Digest, name, out.Root, kind, predicate)
		if err != nil {
			return err
		}
		return attach(bundle, kind)
	}
	scan := examined.Report.Predicate(out.Root, finished)
	repeats, superseded := known.modelScans(&scan)
	if !repeats {
		predicate, err := json.Marshal(scan)
		if err != nil {
			return err
		}
		if err := state(fact.PredicateModelScan, predicate); err != nil {
			return err
		}
		out.Superseded = superseded
	}
	if o.Provenance == nil {
		return nil
	}
	return state("https://slsa.dev/provenance/v1", o.Provenance)
}

// PullOptions say how [PullModel] pulls.
type PullOptions struct {
	Labels   map[string]string // of the workload, by which policies select
	Progress func(done int64)
}

// PullModel asks whether the model may be served and, when it may, brings its
// files into dir. The verdict is returned in any case; nothing is in dir unless
// it allows.
func (e *Engine) PullModel(ctx context.Context, text, dir string, o PullOptions) (verdict.Report, error) {
	q := QuestionAbout(text, o.Labels)
	q.Kind = verdict.KindModel
	report := e.Ask(ctx, Asked{Questions: []verdict.Question{q}})
	if report.Decision() == verdict.Deny || len(report.Verdicts) != 1 {
		return report, nil
	}
	ref := report.Verdicts[0].Ref
	m := artifact.New(e.Registry, clock.System{}).Model(ctx, ref)
	known, _, ok := m.All()
	if !ok {
		return report, errors.New(m.Why())
	}
	return report, artifact.Pull(ctx, e.Registry, ref, &known, dir, o.Progress)
}
