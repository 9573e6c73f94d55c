package admission

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/apexlogic/apex/internal/manifest"
	"github.com/apexlogic/apex/verdict"
)

// validate answers whether the object may be stored.
func (h *Handler) validate(ctx context.Context, r *Review, s *scratch) answer {
	if !concerns(r) {
		return answer{allowed: true}
	}
	if r.Group == ownGroup {
		return validateOwn(ctx, r)
	}
	found, err := h.read(r, s, r.Object)
	if err != nil {
		return h.unreadable(err)
	}
	if refused := found.Refused(); len(refused) > 0 {
		return h.refuse(refused)
	}
	before, err := h.before(r, s)
	if err != nil {
		return h.unreadable(err)
	}
	questions := make([]verdict.Question, 0, len(found.Refs))
	refs := make([]*manifest.Ref, 0, len(found.Refs))
	for i := range found.Refs {
		if ref := &found.Refs[i]; !before.has(ref) {
			questions, refs = append(questions, ref.Question(nil)), append(refs, ref)
		}
	}
	if len(questions) == 0 {
		return answer{allowed: true}
	}
	if len(questions) > maxQuestions {
		return deny(http.StatusForbidden, "it names "+strconv.Itoa(len(questions))+" images and models, and at most "+strconv.Itoa(maxQuestions)+" are verified for one object: split it")
	}
	report, err := h.ask(ctx, r.DryRun, questions)
	if err != nil {
		return h.later(err)
	}
	return h.conclude(r, refs, &report)
}

// maxQuestions bounds the work for one object. A Pod of an API server's limit of
// 1.5 MiB could name some ten thousand.
const maxQuestions = 1000

// concerns says whether the request could make anything run. Deletions, scaling
// and status could not; what CONNECT reaches (exec, attach, port-forward) runs
// already.
func concerns(r *Review) bool {
	switch r.Operation {
	case "CREATE", "UPDATE":
		return r.SubResource == "" || r.SubResource == "ephemeralcontainers"
	}
	return false
}

// read finds the references of an object of the review. Lines and columns of
// what an API server sends tell a person nothing: they are left out.
func (h *Handler) read(r *Review, s *scratch, object []byte) (*manifest.Result, error) {
	found, err := r.find(s, object)
	if err != nil {
		return nil, err
	}
	for i := range found.Refs {
		found.Refs[i].Where.Line, found.Refs[i].Where.Column = 0, 0
	}
	for i := range found.Unresolved {
		found.Unresolved[i].Where.Line, found.Unresolved[i].Where.Column = 0, 0
	}
	return found, nil
}

// find reads what is ordinary the cheap way, and all else the thorough one.
func (r *Review) find(s *scratch, object []byte) (*manifest.Result, error) {
	if r.plain() {
		kind := manifest.GroupVersionKind{Group: r.Group, Version: r.Version, Kind: r.Kind}
		if found, ok := manifest.Places(kind, r.Namespace, object); ok {
			return &found, nil
		}
	}
	s.reduced = r.appendFor(s.reduced[:0], object)
	review, err := manifest.ParseAdmissionReview(s.reduced)
	if err != nil {
		return nil, err
	}
	return &review.Result, nil
}

// uses are the references that an object held before.
type uses map[string]bool

// before returns what the object held before an update. What stays under the
// same labels starts nothing, so it is not judged again: a controller has to be
// able to take a finalizer off a Pod that a newer policy would deny. What runs
// and complies no longer is found in the background.
func (h *Handler) before(r *Review, s *scratch) (uses, error) {
	if r.Operation != "UPDATE" || r.OldObject == nil {
		return nil, nil
	}
	found, err := h.read(r, s, r.OldObject)
	if err != nil {
		return nil, err
	}
	if found.Rejected {
		return nil, nil // then everything is new
	}
	all := make(uses, len(found.Refs))
	for i := range found.Refs {
		all[useOf(&found.Refs[i])] = true
	}
	return all, nil
}

func (u uses) has(ref *manifest.Ref) bool { return len(u) > 0 && u[useOf(ref)] }

// useOf names a use by all that its verdict depends on. An object's namespace
// does not change.
func useOf(ref *manifest.Ref) string {
	var b strings.Builder
	part := func(text string) {
		b.WriteString(strconv.Itoa(len(text)))
		b.WriteByte(':')
		b.WriteString(text)
	}
	part(ref.Class.String())
	part(ref.Text)
	part(ref.Model)
	part(ref.Revision)
	labels := ref.Labels()
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		part(key)
		part(labels[key])
	}
	return b.String()
}

// refuse denies what cannot be judged.
func (h *Handler) refuse(refused []verdict.Unresolved) answer {
	m := message{}
	for i := range refused {
		u := &refused[i]
		m.line(placeOf(&u.Where, u.Text) + ": " + u.Why + " [" + string(u.Code) + "]")
	}
	a := deny(http.StatusForbidden, m.text("this cannot be verified, so it is denied:"))
	a.note(auditGeneration, h.o.Generation())
	a.note(auditCode, string(refused[0].Code))
	return a
}

// unreadable denies an object that cannot be read safely.
func (h *Handler) unreadable(err error) answer {
	a := deny(http.StatusBadRequest, clip(err.Error(), maxLine)+" ["+string(verdict.ManifestInvalid)+"]")
	a.note(auditGeneration, h.o.Generation())
	a.note(auditCode, string(verdict.ManifestInvalid))
	return a
}

// later is the answer when there is no report.
func (h *Handler) later(why error) answer {
	if errors.Is(why, errLate) || errors.Is(why, errBusy) || errors.Is(why, errFull) || errors.Is(why, errDraining) {
		a := deny(http.StatusTooManyRequests, "not verified in time, so it is denied for now: "+why.Error()+"; ask again in some seconds ["+string(verdict.DeadlineExceeded)+"]")
		a.retry = busy
		a.note(auditGeneration, h.o.Generation())
		a.note(auditCode, string(verdict.DeadlineExceeded))
		return a
	}
	h.o.Logger.Error("an admission review could not be verified", "err", why)
	return h.internal()
}

// conclude turns the report into an answer. refs are what its verdicts are about.
func (h *Handler) conclude(r *Review, refs []*manifest.Ref, report *verdict.Report) answer {
	a := answer{allowed: true}
	m := message{}
	temporary, unselected, cached := true, 0, true
	var exceptions []string
	code := verdict.Code("")
	enforced := -1 // not asked yet
	for i := range report.Verdicts {
		v, ref := &report.Verdicts[i], refs[i]
		cached = cached && v.Cached
		exceptions = appendExceptions(exceptions, v)
		switch {
		case v.Decision == verdict.Deny && v.Code == verdict.Unselected:
			if enforced < 0 {
				enforced = 0
				if h.enforced(r.Namespace) {
					enforced = 1
				}
			}
			if enforced == 0 {
				unselected++
				continue
			}
			m.line(placeOf(&v.Where, ref.Text) + ": " + v.Reason + ", and the namespace is marked " + EnforceLabel + " [" + string(v.Code) + "]; to mend it: " + v.Code.Info().Mend)
		case v.Decision == verdict.Deny:
			m.verdict(v, ref.Text)
		default:
			warn(&a, v, ref.Text)
			if !movable(r, ref) {
				continue
			}
			// It was verified, and another could be pulled.
			m.line(placeOf(&v.Where, ref.Text) + ": " + verdict.AdmissionTag.Info().Meaning + " [" + string(verdict.AdmissionTag) + "]; to mend it: " + verdict.AdmissionTag.Info().Mend)
			temporary = false
			code = firstCode(code, verdict.AdmissionTag)
			a.allowed = false
			continue
		}
		a.allowed = false
		temporary = temporary && passes(v.Code)
		code = firstCode(code, v.Code)
		m.id(v.ID)
	}
	if !a.allowed {
		a.warnings = nil // the message says it all
		a.message = m.text(strconv.Itoa(len(m.lines)) + " of " + strconv.Itoa(len(refs)) + " references may not be deployed:")
		if temporary {
			a.code, a.retry = http.StatusTooManyRequests, busy
		}
	} else if unselected > 0 {
		a.warn("no policy of Apex selects " + strconv.Itoa(unselected) + " of " + strconv.Itoa(len(refs)) + " references; a namespace marked " + EnforceLabel + " would deny that")
	}
	a.note(auditGeneration, report.Generation)
	a.note(auditVerdicts, idsOf(report))
	a.note(auditCached, strconv.FormatBool(cached))
	a.note(auditCode, string(code))
	a.note(auditExceptions, strings.Join(exceptions, ","))
	return a
}

func firstCode(have, more verdict.Code) verdict.Code {
	if have == "" {
		return more
	}
	return have
}

// enforced says whether the namespace is marked. What is not in a namespace, and
// a namespace that is not known, count as marked.
func (h *Handler) enforced(namespace string) bool {
	if namespace == "" {
		return true
	}
	labels, known := h.o.Namespace(namespace)
	return !known || labels[EnforceLabel] == "true"
}

// movable says whether what a Pod names could be something else when it is
// pulled. In a workload that is no matter: its Pods are judged.
func movable(r *Review, ref *manifest.Ref) bool {
	return r.Group == "" && r.Kind == "Pod" && ref.Model == "" &&
		ref.Class != manifest.ClassUnclassified && ref.Reference.Digest == ""
}

// passes says whether a denial may be an allowance after some seconds, without
// anybody doing anything.
func passes(code verdict.Code) bool {
	switch code {
	case verdict.DeadlineExceeded, verdict.EvidenceDeferred, verdict.LedgerClosed, verdict.RegistryUnreachable, verdict.RegistryLimited:
		return true
	}
	return false
}

func appendExceptions(all []string, v *verdict.Verdict) []string {
	for i := range v.Checks {
		if name := v.Checks[i].Exception; name != "" && !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	return all
}

func idsOf(report *verdict.Report) string {
	if len(report.Verdicts) == 1 {
		return report.Verdicts[0].ID
	}
	var b strings.Builder
	for i := range report.Verdicts {
		id := report.Verdicts[i].ID
		if id == "" || b.Len()+len(id) >= maxAudit {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		b.WriteString(id)
	}
	return b.String()
}
