package policy

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/verdict"
)

// cleanScan is a scan of the world's model without any finding, an hour old.
func cleanScan(w *modelWorld) fact.ModelScan {
	s := fact.ModelScan{
		Root: w.model.Root, Finished: noon.Add(-time.Hour), Verdict: "clean",
		Files: len(w.model.Files), Bytes: 14, Formats: []string{"json", "safetensors", "text"},
	}
	s.Scanner.Name, s.Scanner.Version, s.Scanner.Lists = "apex", "1.0.0", "2026.11.1"
	return s
}

// scanned attests the scan, changed, by the signers; of the artifact and its files.
func (w *modelWorld) scanned(change func(*fact.ModelScan), by ...string) {
	s := cleanScan(w)
	if change != nil {
		change(&s)
	}
	a := attested(fact.PredicateModelScan, s, by...)
	a.Subjects = append(a.Subjects, fact.AttestationSubject{Name: "captioner", Digest: w.model.Root})
	w.attestations = append(w.attestations, a)
}

// rescan replaces the first scan by a changed one.
func (w *modelWorld) rescan(change func(*fact.ModelScan)) {
	var s fact.ModelScan
	if err := json.Unmarshal(w.attestations[0].Predicate, &s); err != nil {
		panic(err)
	}
	change(&s)
	w.attestations[0].Predicate, _ = json.Marshal(s)
}

func scannedModel(rule v1alpha1.ModelRuleName, set func(*v1alpha1.ModelRuleParameters)) func() *modelWorld {
	return func() *modelWorld {
		w := newModelWorld(rule)
		w.param.ScanFrom = []string{"alice"}
		if set != nil {
			set(&w.param)
		}
		w.scanned(nil, "alice")
		return w
	}
}

func TestAScanCountsOnlyWhenItIsATrustedOneOfExactlyThisModel(t *testing.T) {
	change := func(f func(*fact.ModelScan)) func(*modelWorld) { return func(w *modelWorld) { w.rescan(f) } }
	failed := func(code verdict.Code) func(*modelWorld) {
		return func(w *modelWorld) {
			w.attestations[0].Code, w.attestations[0].TrustedBy, w.attestations[0].Predicate = code, nil, nil
		}
	}
	// What all rules about scans have in common.
	for name, good := range map[string]func() *modelWorld{
		"threshold":   scannedModel(v1alpha1.ModelScanThreshold, nil),
		"formats":     scannedModel(v1alpha1.AllowOnlyFormats, func(p *v1alpha1.ModelRuleParameters) { p.AllowedFormats = []string{"Safetensors", "json", "text"} }),
		"remote code": scannedModel(v1alpha1.DenyRemoteCode, nil),
	} {
		t.Run(name, func(t *testing.T) {
			runModelTwins(t, good, append(unlooked(fact.NeedAttestations, func(w *modelWorld) { w.attestations = nil }), []modelTwin{
				{"nobody scanned", func(w *modelWorld) { w.attestations = nil }, verdict.Fail, verdict.ModelScanMissing, ""},
				{"an attestation of another type", func(w *modelWorld) { w.attestations[0].PredicateType = "https://example.com/scan" }, verdict.Fail, verdict.ModelScanMissing, ""},
				{"it verifies under no entry", failed(verdict.AttestationUntrusted), verdict.Fail, verdict.ModelScanUntrusted, ""},
				{"its key is revoked", failed(verdict.SignatureRevokedKey), verdict.Fail, verdict.ModelScanUntrusted, ""},
				{"somebody else whom we know signed", func(w *modelWorld) { w.attestations[0].TrustedBy = []string{"bob"} }, verdict.Fail, verdict.ModelScanUntrusted, "alice"},
				{"its statement is about another digest", failed(verdict.SignatureSubject), verdict.Fail, verdict.ModelScanSubject, ""},
				{"its subjects are another model's", func(w *modelWorld) { w.attestations[0].Subjects = about(digestOf("else")) }, verdict.Fail, verdict.ModelScanSubject, ""},
				{"its subjects are ours and its root another model's", change(func(s *fact.ModelScan) { s.Root = digestOf("else") }), verdict.Fail, verdict.ModelScanSubject, ""},
				{"its root is ours and its subjects another model's", func(w *modelWorld) {
					w.attestations[0].Subjects = []fact.AttestationSubject{{Digest: digestOf("else")}, {}}
				}, verdict.Fail, verdict.ModelScanSubject, ""},
				{"it names no root", change(func(s *fact.ModelScan) { s.Root = "" }), verdict.Fail, verdict.ModelScanSubject, ""},
				{"of no files", change(func(s *fact.ModelScan) { s.Files = 0 }), verdict.Fail, verdict.ModelScanInvalid, "0 files"},
				{"of fewer files than there are", change(func(s *fact.ModelScan) { s.Files = 2 }), verdict.Fail, verdict.ModelScanInvalid, "2 files"},
				{"no verdict", change(func(s *fact.ModelScan) { s.Verdict = "" }), verdict.Fail, verdict.ModelScanInvalid, "no verdict"},
				{"a verdict that nobody knows", change(func(s *fact.ModelScan) { s.Verdict = "fine" }), verdict.Fail, verdict.ModelScanInvalid, "fine"},
				{"a verdict in capitals", change(func(s *fact.ModelScan) { s.Verdict = "CLEAN" }), verdict.Fail, verdict.ModelScanInvalid, "CLEAN"},
				{"fewer than no bytes unread", change(func(s *fact.ModelScan) { s.Unhashed = -1 }), verdict.Fail, verdict.ModelScanInvalid, ""},
				{"it cannot be read", func(w *modelWorld) { w.attestations[0].Predicate = []byte(`{"files":"three"}`) }, verdict.Fail, verdict.ModelScanInvalid, "cannot be read"},
				{"no time", change(func(s *fact.ModelScan) { s.Finished = time.Time{} }), verdict.Fail, verdict.ModelScanInvalid, "when"},
				{"from the future", change(func(s *fact.ModelScan) { s.Finished = noon.Add(time.Hour) }), verdict.Fail, verdict.ModelScanInvalid, "not come"},
				{"too old", change(func(s *fact.ModelScan) { s.Finished = noon.Add(-31 * 24 * time.Hour) }), verdict.Fail, verdict.ModelScanStale, "old"},
				{"older than the policy says", func(w *modelWorld) { w.param.MaxScanAge = hours(1); w.now = noon.Add(time.Second) }, verdict.Fail, verdict.ModelScanStale, "old"},
				{"it read ranges only", change(func(s *fact.ModelScan) { s.Unhashed = 1 }), verdict.Fail, verdict.ModelScanPartial, "1 bytes"},
				{"more may exist, which may say something else", func(w *modelWorld) { w.partial = fact.NeedAttestations }, verdict.Unknown, verdict.RegistryTooMany, "there is more"},
			}...))
			runModelPasses(t, good, []modelVariant{
				{"as old as the policy allows", func(w *modelWorld) { w.param.MaxScanAge = hours(1) }},
				{"it names the artifact alone", func(w *modelWorld) { w.attestations[0].Subjects = w.attestations[0].Subjects[:1] }},
				{"it names the files alone, having been made before they were packed", func(w *modelWorld) { w.attestations[0].Subjects = w.attestations[0].Subjects[1:] }},
				{"an untrusted scan beside it says the worst", func(w *modelWorld) {
					w.scanned(func(s *fact.ModelScan) {
						s.Verdict, s.Formats, s.RemoteCode = "malicious", []string{"pickle"}, []string{"x"}
					}, "bob")
				}},
				{"of packed layers, by the artifact's digest", func(w *modelWorld) {
					w.model.Root, w.model.Files = "", []fact.ModelFile{{Packed: true, Digest: digestOf("tar")}}
				}},
				{"ranges first, the whole later", func(w *modelWorld) {
					w.scanned(func(s *fact.ModelScan) { s.Unhashed, s.Finished = 9, noon.Add(-2*time.Hour) }, "alice")
				}},
				{"the whole first, ranges later", func(w *modelWorld) {
					w.scanned(func(s *fact.ModelScan) { s.Unhashed, s.Finished = 9, noon.Add(-time.Minute) }, "alice")
				}},
			})
		})
	}
}

func TestTheScanThresholdBlocksWhatThePolicySays(t *testing.T) {
	good := scannedModel(v1alpha1.ModelScanThreshold, func(p *v1alpha1.ModelRuleParameters) { p.MinListVersion = "2026.11.1" })
	says := func(v string) func(*modelWorld) {
		return func(w *modelWorld) {
			w.rescan(func(s *fact.ModelScan) {
				s.Verdict = v
				s.Findings = []fact.ModelFinding{{Path: "m.pkl", Rule: "pickle.call", Detail: "calls os.system"}}
			})
		}
	}
	runModelTwins(t, good, []modelTwin{
		{"malicious", says("malicious"), verdict.Fail, verdict.ModelScanBlocked, "os.system"},
		{"suspicious", says("suspicious"), verdict.Fail, verdict.ModelScanBlocked, "m.pkl"},
		{"unscannable", says("unscannable"), verdict.Fail, verdict.ModelScanBlocked, "unscannable"},
		{"malicious, without a reason", func(w *modelWorld) { w.rescan(func(s *fact.ModelScan) { s.Verdict = "malicious" }) }, verdict.Fail, verdict.ModelScanBlocked, "no reason"},
		{"malicious, found by some and not everything was looked at", func(w *modelWorld) {
			says("malicious")(w)
			w.partial = fact.NeedAttestations
		}, verdict.Fail, verdict.ModelScanBlocked, ""},
		{"by older lists", func(w *modelWorld) { w.rescan(func(s *fact.ModelScan) { s.Scanner.Lists = "2026.10.9" }) }, verdict.Fail, verdict.ModelScanLists, "2026.10.9"},
		{"by lists without a version", func(w *modelWorld) { w.rescan(func(s *fact.ModelScan) { s.Scanner.Lists = "" }) }, verdict.Fail, verdict.ModelScanLists, ""},
		{"of unknown files, which are to block", func(w *modelWorld) {
			w.param.UnknownFiles = "Block"
			w.rescan(func(s *fact.ModelScan) { s.Unknown = []string{"x.bin"} })
		}, verdict.Fail, verdict.ModelScanUnknown, "x.bin"},
		{"of unknown files that are not listed", func(w *modelWorld) {
			w.param.UnknownFiles = "Block"
			w.rescan(func(s *fact.ModelScan) { s.Verdict = "unknown" })
		}, verdict.Fail, verdict.ModelScanUnknown, ""},
	})
	runModelPasses(t, good, []modelVariant{
		{"of unknown files, which may be there", func(w *modelWorld) {
			w.rescan(func(s *fact.ModelScan) { s.Verdict, s.Unknown = "unknown", []string{"x.bin"} })
		}},
		{"unscannable where only worse blocks", func(w *modelWorld) { w.param.BlockAtOrAbove = "Suspicious"; says("unscannable")(w) }},
		{"suspicious where only worse blocks", func(w *modelWorld) { w.param.BlockAtOrAbove = "Malicious"; says("suspicious")(w) }},
	})
	for _, least := range []v1alpha1.ScanVerdict{"Unscannable", "Suspicious", "Malicious"} {
		w := good()
		w.param.BlockAtOrAbove = least
		says("malicious")(w)
		if c := w.check(t); c.Code != verdict.ModelScanBlocked {
			t.Errorf("blockAtOrAbove %s lets a malicious model pass: %s", least, c.Detail)
		}
	}
}

// What one scan has found is undone only by a later one that knows at least as much.
func TestAScanIsReplacedOnlyByALaterOneThatKnowsAsMuch(t *testing.T) {
	bad := func(s *fact.ModelScan) { s.Verdict = "malicious" }
	at := func(minutes int, also ...func(*fact.ModelScan)) func(*fact.ModelScan) {
		return func(s *fact.ModelScan) {
			s.Finished = noon.Add(-time.Hour + time.Duration(minutes)*time.Minute)
			for _, f := range also {
				f(s)
			}
		}
	}
	lists := func(v string) func(*fact.ModelScan) { return func(s *fact.ModelScan) { s.Scanner.Lists = v } }
	scanner := func(v string) func(*fact.ModelScan) { return func(s *fact.ModelScan) { s.Scanner.Name = v } }
	good := scannedModel(v1alpha1.ModelScanThreshold, func(p *v1alpha1.ModelRuleParameters) { p.ScanFrom = []string{"alice", "bob"} })
	with := func(change func(*fact.ModelScan), by string) func(*modelWorld) {
		return func(w *modelWorld) { w.scanned(change, by) }
	}
	runModelTwins(t, good, []modelTwin{
		{"a later scan finds something", with(at(1, bad), "alice"), verdict.Fail, verdict.ModelScanBlocked, ""},
		{"a later scan by somebody else finds something", with(at(1, bad), "bob"), verdict.Fail, verdict.ModelScanBlocked, ""},
		{"a scan of the same second finds something", with(at(0, bad), "alice"), verdict.Fail, verdict.ModelScanBlocked, ""},
		{"an earlier scan with newer lists has found something", with(at(-1, bad, lists("2026.11.2")), "alice"), verdict.Fail, verdict.ModelScanBlocked, ""},
		{"an earlier scan by another scanner has found something", with(at(-1, bad, scanner("other")), "bob"), verdict.Fail, verdict.ModelScanBlocked, ""},
		{"an earlier scan has found something, and the later one read ranges", func(w *modelWorld) {
			w.scanned(at(-1, bad), "alice")
			w.rescan(func(s *fact.ModelScan) { s.Unhashed = 7 })
		}, verdict.Fail, verdict.ModelScanBlocked, ""},
	})
	runModelPasses(t, good, []modelVariant{
		{"an earlier scan with the same lists had found something", with(at(-1, bad), "alice")},
		{"an earlier scan with older lists had found something", with(at(-1, bad, lists("2026.10.1")), "bob")},
		{"what another scanner has found is too old to count", with(at(-60*24*31, bad, scanner("other")), "bob")},
		{"another scanner has older lists than the policy asks for, and found nothing", func(w *modelWorld) {
			w.param.MinListVersion = "2026.11.1"
			w.scanned(at(1, scanner("other"), lists("1")), "bob")
		}},
	})
	// The answer ends with the first of the scans that it rests on.
	w := good()
	w.scanned(at(-30, scanner("other")), "bob")
	if c := w.check(t); !c.Until.Equal(noon.Add(-90*time.Minute + defaultScanAge)) {
		t.Errorf("until %s", c.Until)
	}
}

func TestOnlyTheFormatsOfThePolicyMayBeInAModel(t *testing.T) {
	good := scannedModel(v1alpha1.AllowOnlyFormats, func(p *v1alpha1.ModelRuleParameters) { p.AllowedFormats = []string{"json", "text", "safetensors"} })
	change := func(f func(*fact.ModelScan)) func(*modelWorld) { return func(w *modelWorld) { w.rescan(f) } }
	runModelTwins(t, good, []modelTwin{
		{"another format, in an archive or not", change(func(s *fact.ModelScan) { s.Formats = append(s.Formats, "pickle") }), verdict.Fail, verdict.ModelFormatDenied, "pickle"},
		{"a file of no known format", change(func(s *fact.ModelScan) { s.Unknown = []string{"x.bin"} }), verdict.Fail, verdict.ModelFormatDenied, "x.bin"},
		{"files of no known format that are not listed", change(func(s *fact.ModelScan) { s.Verdict = "unknown" }), verdict.Fail, verdict.ModelFormatDenied, ""},
		{"a scan that names no format", change(func(s *fact.ModelScan) { s.Formats = nil }), verdict.Fail, verdict.ModelFormatDenied, "no format"},
		{"a format whose name begins like an allowed one", change(func(s *fact.ModelScan) { s.Formats = []string{"json5"} }), verdict.Fail, verdict.ModelFormatDenied, "json5"},
	})
}

func TestAModelThatAsksForRemoteCodeIsDenied(t *testing.T) {
	good := scannedModel(v1alpha1.DenyRemoteCode, nil)
	runModelTwins(t, good, []modelTwin{
		{"a configuration names code", func(w *modelWorld) {
			w.rescan(func(s *fact.ModelScan) { s.RemoteCode = []string{"config.json"} })
		}, verdict.Fail, verdict.ModelRemoteCode, "config.json"},
		{"a file could not be read to its end", func(w *modelWorld) { w.rescan(func(s *fact.ModelScan) { s.Verdict = "unscannable" }) }, verdict.Fail, verdict.ModelScanPartial, "could not be read"},
	})
}
