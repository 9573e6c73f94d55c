package gateway

import (
	"cmp"
	"encoding/hex"
	"slices"

	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/internal/media/body"
	"github.com/apexlogic/apex/verdict"
)

// judgeMedia holds the model and the content of the message to what the route
// takes, and takes the tokens that it will cost.
func judgeMedia(x *Exchange) error {
	if len(x.Route.Models) > 0 && x.Decision.Model != "" {
		m, known := x.Route.Models[x.Decision.Model]
		if !known {
			return Refuse(verdict.RequestModel, "the route has no such model")
		}
		x.Decision.Digest = m.Digest
		if code := x.Snapshot.Revoked.Why(nil, m.Digest); code != "" {
			return Refuse(code, "the model was revoked")
		}
	}
	if x.Body == nil {
		return nil
	}
	if err := x.pinned(cmp.Or(x.Operation.Version, x.Body.Version)); err != nil {
		return err
	}
	if err := x.kept(x.Body); err != nil {
		return err
	}
	for i := range x.Body.Parts {
		p := &x.Body.Parts[i]
		x.Decision.Parts = append(x.Decision.Parts, recordOf(p))
		if p.URL != "" && x.Route.Addresses != nil && x.Route.Kinds[p.Kind] {
			continue // the stage content judges it, and nothing more is known of it yet
		}
		if err := judgePart(x.Route, p); err != nil {
			return err
		}
	}
	return spend(x)
}

// pinned refuses a version of a model whose digest the route has: what was signed,
// judged and can be revoked is that one artifact, and not each of its versions.
func (x *Exchange) pinned(version string) error {
	if version == "" || x.Operation.Action == List || x.Route.Models[x.Decision.Model].Digest == "" {
		return nil
	}
	return Refuse(verdict.RequestModel, "the request names a version of the model, and the route knows the digest of one artifact: ask without a version")
}

// kept refuses what the server keeps, unless the route lets such pass.
func (x *Exchange) kept(b *body.Body) error {
	for of, where := range b.Kept {
		if where != "" && !x.Route.References[of] {
			return media.Refuse(verdict.BodyReference, recordedPlace(where), "it names by an id what the server keeps, which may be somebody else's and was not looked at")
		}
	}
	return nil
}

// SealedType is the media type of envelopes.
const SealedType = "application/vnd.apex.sealed"

// judgePart holds a piece of content to what the route takes. One that is named
// by its address is refused.
func judgePart(r *Route, p *media.Part) error {
	switch {
	case p.Kind == media.Unknown && p.Type == SealedType && r.Sealed:
		return nil
	case !r.Kinds[p.Kind]:
		return media.Refuse(verdict.MediaKind, p.Where, "the route takes no content of the kind %s", p.Kind)
	case p.URL != "":
		return media.Refuse(verdict.MediaAddress, p.Where, "the route takes content itself, not its address")
	case len(r.Types) > 0 && p.Kind != media.Tensor && !slices.Contains(r.Types, p.Type):
		return media.Refuse(verdict.MediaKind, p.Where, "the route does not take this media type")
	case p.Carries&(media.Script|media.Attachment) != 0 && !r.Active:
		return media.Refuse(verdict.MediaActive, p.Where, "the content holds something that a viewer would run or unpack")
	}
	return nil
}

func recordOf(p *media.Part) PartRecord {
	return PartRecord{Kind: p.Kind, Type: p.Type, Where: recordedPlace(p.Where), Bytes: p.Bytes, Digest: digestOf(p)}
}

// digestOf is a part's digest in hex; "" when it has none.
func digestOf(p *media.Part) string {
	if p.Digest == (media.Digest{}) {
		return ""
	}
	return hex.EncodeToString(p.Digest[:])
}
