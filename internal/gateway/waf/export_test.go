package waf

import "strings"

// Raced says that the race detector is on.
func Raced() bool { return raced }

// NewForTests compiles a profile as the authors of the rules do for their tests.
func NewForTests(p Profile) (*WAF, error) {
	const include = "Include @owasp_crs"
	setup := strings.ReplaceAll(testSetup, ",ctl:ruleEngine=DetectionOnly", "")
	setup += `SecAction "id:900201,phase:1,pass,nolog,setvar:'tx.allowed_methods=GET HEAD POST OPTIONS'"` + "\n"
	return compile(p, strings.Replace(p.directives(), include, setup+include, 1))
}
