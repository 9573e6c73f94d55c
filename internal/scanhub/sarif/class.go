package sarif

import "github.com/apexlogic/apex/internal/fact"

// Class is a kind of weakness. Two results of one class at one place are one
// finding, whichever tools say so.
type Class string

// The classes. A finding of a class without a name is known by the rule that
// found it alone, and is never merged with that of another tool.
const (
	Secret             Class = "secret"
	SQLInjection       Class = "sql_injection"
	NoSQLInjection     Class = "nosql_injection"
	CommandInjection   Class = "command_injection"
	CodeInjection      Class = "code_injection"
	TemplateInjection  Class = "template_injection"
	PathTraversal      Class = "path_traversal"
	CrossSiteScripting Class = "cross_site_scripting"
	HeaderInjection    Class = "header_injection"
	RequestForgery     Class = "server_side_request_forgery"
	CrossSiteRequest   Class = "cross_site_request_forgery"
	OpenRedirect       Class = "open_redirect"
	ExternalEntities   Class = "xml_external_entities"
	Deserialization    Class = "unsafe_deserialization"
	WeakCryptography   Class = "weak_cryptography"
	WeakRandomness     Class = "weak_randomness"
	TransportSecurity  Class = "transport_security"
	MissingAuth        Class = "missing_authentication"
	MissingAccess      Class = "missing_authorization"
	CrossOrigin        Class = "cross_origin"
	SecurityHeaders    Class = "security_headers"
	Disclosure         Class = "information_disclosure"
	ServerError        Class = "unhandled_error"
	ResourceExhaustion Class = "resource_exhaustion"
	MemorySafety       Class = "memory_safety"
	NumericError       Class = "numeric_error"
	FilePermissions    Class = "file_permissions"
	ExcessPrivilege    Class = "excess_privilege"
	NetworkExposure    Class = "network_exposure"
	UnpinnedDependency Class = "unpinned_dependency"
	VerbTampering      Class = "verb_tampering"
	// Vulnerability is a known vulnerability of a package. It is one finding
	// per vulnerability and package, not per line.
	Vulnerability Class = "vulnerable_dependency"
)

// classOfCWE returns the class of a weakness of the CWE list (MITRE, version
// 4.17), "" for those that no class stands for.
func classOfCWE(cwe int) Class {
	switch cwe {
	case 259, 321, 798, 312, 522, 540, 615:
		return Secret
	case 89, 564:
		return SQLInjection
	case 943:
		return NoSQLInjection
	case 77, 78, 88:
		return CommandInjection
	case 94, 95, 96, 98:
		return CodeInjection
	case 1336:
		return TemplateInjection
	case 22, 23, 35, 36, 73, 59:
		return PathTraversal
	case 79, 80, 83, 87:
		return CrossSiteScripting
	case 93, 113:
		return HeaderInjection
	case 918:
		return RequestForgery
	case 352:
		return CrossSiteRequest
	case 601:
		return OpenRedirect
	case 611, 776:
		return ExternalEntities
	case 502:
		return Deserialization
	case 326, 327, 328, 916, 780, 1240:
		return WeakCryptography
	case 330, 331, 335, 338:
		return WeakRandomness
	case 295, 297, 319, 322, 757:
		return TransportSecurity
	case 287, 306:
		return MissingAuth
	case 285, 639, 862, 863:
		return MissingAccess
	case 346, 942:
		return CrossOrigin
	case 693, 1021:
		return SecurityHeaders
	case 200, 209, 215, 497, 532:
		return Disclosure
	case 248, 703:
		return ServerError
	case 400, 409, 770, 1333:
		return ResourceExhaustion
	case 119, 120, 125, 416, 476, 787, 242:
		return MemorySafety
	case 190, 191, 681, 369:
		return NumericError
	case 276, 732:
		return FilePermissions
	case 250, 266, 269:
		return ExcessPrivilege
	case 605, 1327:
		return NetworkExposure
	case 829, 1357, 494:
		return UnpinnedDependency
	case 650:
		return VerbTampering
	case 937, 1035, 1395:
		return Vulnerability
	}
	return ""
}

// ClassOf returns the class of the first weakness that has one, "" when none has.
func ClassOf(cwe []int) Class {
	for _, n := range cwe {
		if c := classOfCWE(n); c != "" {
			return c
		}
	}
	return ""
}

// SeverityOfScore is the severity of a CVSS base score (CVSS 4.0 §6), unknown
// for 0 and for what no score can be.
func SeverityOfScore(score float64) fact.Severity {
	switch {
	case score >= 9 && score <= 10:
		return fact.SeverityCritical
	case score >= 7 && score < 9:
		return fact.SeverityHigh
	case score >= 4 && score < 7:
		return fact.SeverityMedium
	case score > 0 && score < 4:
		return fact.SeverityLow
	}
	return fact.SeverityUnknown
}

// SeverityWord reads a severity however tools spell it; unknown for other words.
func SeverityWord(word string) fact.Severity {
	switch lower(word) {
	case "critical", "blocker":
		return fact.SeverityCritical
	case "high", "important", "error":
		return fact.SeverityHigh
	case "medium", "moderate", "warning", "warn":
		return fact.SeverityMedium
	case "low", "minor", "note":
		return fact.SeverityLow
	case "info", "informational", "negligible", "style":
		return fact.SeverityNegligible
	}
	return fact.SeverityUnknown
}
