package app

import (
	"context"
	"io"
	"slices"
	"strings"

	"github.com/apexlogic/apex/internal/manifest"
	"github.com/apexlogic/apex/verdict"
)

// Asked is what manifests ask for.
type Asked struct {
	Questions []verdict.Question
	// Unresolved cannot be judged and is denied: files that cannot be read
	// safely, references that depend on unknown values.
	Unresolved []verdict.Unresolved
}

// AskManifests collects the questions of files, folders and "-" (stdin). Labels
// are added where a workload does not have them.
func AskManifests(ctx context.Context, stdin io.Reader, paths []string, labels map[string]string) (Asked, error) {
	var a Asked
	err := manifest.Walk(ctx, stdin, paths, func(file string, data []byte, err error) error {
		if err != nil {
			a.Unresolved = append(a.Unresolved, verdict.Unresolved{Text: file, Where: verdict.Origin{File: file}, Code: verdict.ManifestInvalid, Why: err.Error()})
			return nil
		}
		a.add(manifest.Extract(file, data, manifest.Limits{}), labels)
		return nil
	})
	return a, err
}

// AskManifest collects the questions of one manifest.
func AskManifest(file string, data []byte) Asked {
	var a Asked
	a.add(manifest.Extract(file, data, manifest.Limits{}), nil)
	return a
}

func (a *Asked) add(r manifest.Result, labels map[string]string) {
	a.Unresolved = append(a.Unresolved, r.Refused()...)
	for i := range r.Refs {
		a.Questions = append(a.Questions, r.Refs[i].Question(labels))
	}
}

// QuestionAbout asks about what a person names: a model where the text has a
// scheme, such as oci://, and an image otherwise.
func QuestionAbout(text string, labels map[string]string) verdict.Question {
	q := verdict.Question{Asked: text, Labels: labels}
	if strings.Contains(text, "://") {
		q.Kind = verdict.KindModel
	}
	return q
}

// withoutModels takes the questions about models out: where no policy about
// models is in force, nobody has asked for them to be judged.
func (a *Asked) withoutModels() (notJudged []verdict.Unresolved) {
	a.Questions = slices.DeleteFunc(slices.Clone(a.Questions), func(q verdict.Question) bool {
		if q.Kind != verdict.KindModel || q.Where == (verdict.Origin{}) {
			return false
		}
		notJudged = append(notJudged, verdict.Unresolved{Text: q.Asked, Where: q.Where, Code: verdict.Unselected, Why: "no ModelSecurityPolicy is in force"})
		return true
	})
	return notJudged
}
