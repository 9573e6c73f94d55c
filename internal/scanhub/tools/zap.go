package tools

import (
	"strconv"
	"strings"

	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/scanhub/sarif"
)

// zap crawls and probes a running service (zaproxy.org) by its baseline script,
// which attacks nothing. Its codes: 1 a rule failed, 2 a rule warned, 3 it could
// not do its work.
func zap() Tool {
	return Tool{
		Name: "zap", Programs: []string{"zap-baseline.py"}, Version: []string{"-h"}, Targets: URL,
		Args: func(r Request) ([]string, error) {
			return []string{"-t", r.Target.URL, "-J", r.Report, "-m", "2", "-T", "10", "-s"}, nil
		},
		File: true, Read: readZAP,
		Exit:    map[int]Exit{0: Done, 1: Found, 2: Found},
		Network: func(Request) bool { return true },
		Memory:  6 << 30,
	}
}

// zapReport is the traditional JSON report.
type zapReport struct {
	Version string `json:"@version"`
	Site    *[]struct {
		Alerts []struct {
			ID        string `json:"alertRef"`
			Plugin    string `json:"pluginid"`
			Name      string `json:"name"`
			Risk      string `json:"riskcode"`
			CWE       string `json:"cweid"`
			Instances []struct {
				URI    string `json:"uri"`
				Method string `json:"method"`
				Param  string `json:"param"`
			} `json:"instances"`
		} `json:"alerts"`
	} `json:"site"`
}

// readZAP reads the JSON report.
func readZAP(data []byte, _ string) ([]sarif.Run, error) {
	var doc zapReport
	if err := bounded.JSON(data, 12, &doc); err != nil {
		return nil, message("ZAP: %w", err)
	}
	if doc.Site == nil {
		return nil, message("ZAP: there is no list of sites")
	}
	run := sarif.Run{Tool: "zap", Version: sarif.Clip(doc.Version, 40)}
	if len(*doc.Site) == 0 {
		run.Problem = "it reached no site"
	}
	for _, site := range *doc.Site {
		for _, a := range site.Alerts {
			rule := a.ID
			if rule == "" {
				rule = a.Plugin
			}
			for _, in := range a.Instances {
				if len(run.Results) == sarif.MaxResults {
					return nil, message("ZAP: more than %d alerts", sarif.MaxResults)
				}
				r := sarif.Result{
					Rule: sarif.Clip(rule, 100), Title: sarif.Clip(a.Name, 200), Level: "warning", Severity: zapRisk(a.Risk),
					Message: sarif.Clip(a.Name+": "+in.Method+" "+in.URI, 1024), Place: sarif.Place{Name: endpoint(in.Method, in.URI, in.Param)},
				}
				if n, err := strconv.Atoi(a.CWE); err == nil && n > 0 {
					r.CWE = []int{n}
				}
				run.Results = append(run.Results, r)
			}
		}
	}
	return []sarif.Run{run}, nil
}

// zapRisk reads a risk code: 0 informational to 3 high.
func zapRisk(code string) fact.Severity {
	switch code {
	case "3":
		return fact.SeverityHigh
	case "2":
		return fact.SeverityMedium
	case "1":
		return fact.SeverityLow
	case "0":
		return fact.SeverityNegligible
	}
	return fact.SeverityUnknown
}

// endpoint names an operation without the values that were sent.
func endpoint(method, uri, param string) string {
	uri, _, _ = strings.Cut(uri, "?")
	name := sarif.Clip(method+" "+uri, 900)
	if param != "" {
		name += " " + sarif.Clip(param, 100)
	}
	return name
}
