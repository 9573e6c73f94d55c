package scan

var ruleChanged = &Rule{ID: "scan.changed", Severity: Unreadable,
	Why:  "The file changed while it was read: what was hashed is not what was scanned.",
	Mend: "Scan a copy that nothing writes to."}

// ReportChanged adds to a result that the file was not the same throughout.
func ReportChanged(r *Result, detail string) {
	r.Findings = append(r.Findings, Finding{Rule: ruleChanged.ID, Severity: ruleChanged.Severity, Where: Nowhere,
		Detail: clip(detail), Why: ruleChanged.Why, Mend: ruleChanged.Mend})
	r.Verdict = max(r.Verdict, Unscannable)
}
