package report

import (
	"encoding/json"
	"io"
	"slices"
	"strings"

	"github.com/apexlogic/apex/verdict"
)

// The shapes of both report kinds, which differ in their names only (openreports.io,
// apis/openreports.io/v1alpha1; wgpolicyk8s.io/v1alpha2). They are written here
// so that writing them does not link a Kubernetes client.

type clusterList struct {
	APIVersion string          `json:"apiVersion"`
	Kind       string          `json:"kind"`
	Items      []clusterReport `json:"items"`
}

type clusterReport struct {
	APIVersion string          `json:"apiVersion"`
	Kind       string          `json:"kind"`
	Metadata   clusterMetadata `json:"metadata"`
	Source     string          `json:"source,omitempty"` // OpenReports only
	Summary    clusterSummary  `json:"summary"`
	Results    []clusterResult `json:"results"`
}

type clusterMetadata struct {
	Name      string            `json:"name"`
	Namespace string            `json:"namespace,omitempty"`
	Labels    map[string]string `json:"labels"`
}

type clusterSummary struct {
	Pass  int `json:"pass"`
	Fail  int `json:"fail"`
	Warn  int `json:"warn"`
	Error int `json:"error"`
	Skip  int `json:"skip"`
}

type clusterResult struct {
	Source     string            `json:"source"`
	Policy     string            `json:"policy"`
	Rule       string            `json:"rule,omitempty"`
	Category   string            `json:"category"`
	Timestamp  clusterTime       `json:"timestamp"`
	Result     string            `json:"result"`
	Scored     bool              `json:"scored"`
	Resources  []clusterObject   `json:"resources,omitempty"`
	Message    string            `json:"message,omitempty"`
	Properties map[string]string `json:"properties,omitempty"`
}

type clusterTime struct {
	Seconds int64 `json:"seconds"`
	Nanos   int32 `json:"nanos"`
}

type clusterObject struct {
	APIVersion string `json:"apiVersion,omitempty"`
	Kind       string `json:"kind,omitempty"`
	Namespace  string `json:"namespace,omitempty"`
	Name       string `json:"name,omitempty"`
}

const (
	clusterSource   = "apex"
	clusterCategory = "Image Security"

	openReportsVersion  = "openreports.io/v1alpha1"
	policyReportVersion = "wgpolicyk8s.io/v1alpha2"
	// maxMessage keeps a report of many checks below what etcd stores (1.5 MB).
	maxMessage = 1024
)

// OpenReports writes the report as openreports.io/v1alpha1 objects, in one YAML
// list that kubectl applies: a Report called name for each namespace, and a
// ClusterReport for what has none. Passing checks are included. A failed check
// is "fail", one that could not be made "error", one that does not deny "warn",
// one that an exception covers "skip".
func OpenReports(w io.Writer, r *verdict.Report, name string) error {
	return writeYAML(w, clusterReports(r, name, openReportsVersion, "Report", "ClusterReport", clusterSource))
}

// PolicyReport writes the same as [OpenReports] for consumers of the older
// wgpolicyk8s.io/v1alpha2 kinds, PolicyReport and ClusterPolicyReport.
func PolicyReport(w io.Writer, r *verdict.Report, name string) error {
	return writeYAML(w, clusterReports(r, name, policyReportVersion, "PolicyReport", "ClusterPolicyReport", ""))
}

func clusterReports(r *verdict.Report, name, version, kind, clusterKind, source string) clusterList {
	list := clusterList{APIVersion: "v1", Kind: "List", Items: []clusterReport{}}
	at := clusterTime{}
	if !r.At.IsZero() {
		at = clusterTime{Seconds: r.At.Unix(), Nanos: int32(r.At.Nanosecond())}
	}
	for _, namespace := range namespaces(r) {
		item := clusterReport{
			APIVersion: version, Kind: kind, Source: source, Results: []clusterResult{},
			Metadata: clusterMetadata{Name: name, Namespace: namespace, Labels: map[string]string{"app.kubernetes.io/managed-by": "apex"}},
		}
		if namespace == "" {
			item.Kind = clusterKind
		}
		for i := range r.Verdicts {
			if r.Verdicts[i].Namespace == namespace {
				item.Results = append(item.Results, clusterResults(&r.Verdicts[i])...)
			}
		}
		if namespace == "" {
			for i := range r.Unresolved {
				item.Results = append(item.Results, unresolvedResult(&r.Unresolved[i]))
			}
		}
		for i := range item.Results {
			item.Results[i].Timestamp = at
			item.Results[i].Source = clusterSource
			item.Results[i].Category = clusterCategory
			item.Summary.add(item.Results[i].Result)
		}
		list.Items = append(list.Items, item)
	}
	return list
}

func namespaces(r *verdict.Report) []string {
	var all []string
	for i := range r.Verdicts {
		all = append(all, r.Verdicts[i].Namespace)
	}
	if len(r.Unresolved) > 0 {
		all = append(all, "")
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func (s *clusterSummary) add(result string) {
	switch result {
	case "pass":
		s.Pass++
	case "fail":
		s.Fail++
	case "warn":
		s.Warn++
	case "error":
		s.Error++
	case "skip":
		s.Skip++
	}
}

func clusterResults(v *verdict.Verdict) []clusterResult {
	var out []clusterResult
	base := clusterResult{Scored: true, Properties: map[string]string{"image": subject(v)}}
	for key, value := range map[string]string{"digest": string(v.Digest), "platform": v.Platform, "record": v.ID} {
		if value != "" {
			base.Properties[key] = value
		}
	}
	if o, ok := objectOf(v.Where.Object); ok {
		base.Resources = []clusterObject{o}
	}
	for i := range v.Checks {
		c := &v.Checks[i]
		res := base
		res.Properties = map[string]string{"code": string(c.Code)}
		for key, value := range base.Properties {
			res.Properties[key] = value
		}
		if open(c) && c.Advice() != "" {
			res.Properties["mend"] = message(c.Advice())
		}
		res.Policy, res.Rule, res.Message = c.Policy, c.Rule, message(reason(c))
		res.Result = clusterOutcome(c)
		res.Scored = res.Result != "warn"
		if c.Platform != "" {
			res.Properties["platform"] = c.Platform
		}
		if res.Policy == "" {
			res.Policy = clusterSource
		}
		out = append(out, res)
	}
	if len(v.Checks) == 0 || !explained(v) {
		base.Policy, base.Rule, base.Message = clusterSource, string(v.Code), message(verdictReason(v))
		base.Result = map[verdict.Decision]string{verdict.Allow: "pass", verdict.Warn: "warn", verdict.Deny: "fail"}[v.Decision]
		base.Scored = base.Result != "warn"
		out = append(out, base)
	}
	return out
}

func clusterOutcome(c *verdict.Check) string {
	switch {
	case !open(c):
		return "pass"
	case c.Exception != "":
		return "skip"
	case bites(c) != verdict.Deny:
		return "warn"
	case c.Outcome == verdict.Unknown:
		return "error"
	}
	return "fail"
}

func unresolvedResult(u *verdict.Unresolved) clusterResult {
	why := u.Why
	if why == "" {
		why = u.Code.Info().Meaning
	}
	res := clusterResult{
		Policy: clusterSource, Rule: string(u.Code), Result: "error", Scored: true, Message: message(why),
		Properties: map[string]string{"image": message(u.Text)},
	}
	if o, ok := objectOf(u.Where.Object); ok {
		res.Resources = []clusterObject{o}
	}
	return res
}

// objectOf reads "apps/v1/Deployment vision/captioner" and "v1/Namespace vision".
func objectOf(text string) (clusterObject, bool) {
	kind, name, ok := strings.Cut(text, " ")
	slash := strings.LastIndexByte(kind, '/')
	if !ok || slash < 0 {
		return clusterObject{}, false
	}
	o := clusterObject{APIVersion: kind[:slash], Kind: kind[slash+1:], Name: name}
	if namespace, rest, ok := strings.Cut(name, "/"); ok {
		o.Namespace, o.Name = namespace, rest
	}
	return o, true
}

func message(s string) string {
	s = plain(s)
	if len(s) > maxMessage {
		s = strings.ToValidUTF8(s[:maxMessage], "") + "…"
	}
	return s
}

// ClusterVersions returns the API versions of the report kinds.
func ClusterVersions() []string { return []string{openReportsVersion, policyReportVersion} }

// ClusterKind returns the kind of the report of a namespace in one of the
// versions; "" is the one of what has no namespace.
func ClusterKind(version, namespace string) string {
	switch {
	case version == openReportsVersion && namespace == "":
		return "ClusterReport"
	case version == openReportsVersion:
		return "Report"
	case namespace == "":
		return "ClusterPolicyReport"
	}
	return "PolicyReport"
}

// ClusterObject returns the report of one namespace, whose verdicts alone r
// holds, as the object of one of [ClusterVersions] that is applied to a cluster.
// It has at most the given number of results, what fails first; the counts are
// of all of them.
func ClusterObject(r *verdict.Report, version, name, namespace string, results int) (map[string]any, error) {
	item := clusterReport{
		APIVersion: version, Kind: ClusterKind(version, namespace), Results: []clusterResult{},
		Metadata: clusterMetadata{Name: name, Namespace: namespace, Labels: map[string]string{"app.kubernetes.io/managed-by": "apex"}},
	}
	if version == openReportsVersion {
		item.Source = clusterSource
	}
	for i := range r.Verdicts {
		item.Results = append(item.Results, clusterResults(&r.Verdicts[i])...)
	}
	for i := range r.Unresolved {
		item.Results = append(item.Results, unresolvedResult(&r.Unresolved[i]))
	}
	for i := range item.Results {
		res := &item.Results[i]
		res.Source, res.Category = clusterSource, clusterCategory
		if !r.At.IsZero() {
			res.Timestamp = clusterTime{Seconds: r.At.Unix(), Nanos: int32(r.At.Nanosecond())}
		}
		item.Summary.add(res.Result)
	}
	slices.SortStableFunc(item.Results, func(a, b clusterResult) int { return badness(a.Result) - badness(b.Result) })
	item.Results = item.Results[:min(len(item.Results), results)]
	data, err := json.Marshal(item)
	if err != nil {
		return nil, err
	}
	var body map[string]any
	err = json.Unmarshal(data, &body)
	return body, err
}

// badness orders results, what fails first.
func badness(result string) int {
	return slices.Index([]string{"fail", "error", "warn", "skip", "pass"}, result)
}
