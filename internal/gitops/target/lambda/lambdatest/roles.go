package lambdatest

import (
	"encoding/xml"
	"fmt"
	"html"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// role is one role of IAM.
type role struct {
	id, path, trust, boundary string
	session                   string
	inline                    map[string]string
	attached                  []string
	tags                      map[string]string
	unseen                    int
	notYet                    int // functions that cannot assume it yet
}

// assumable says whether a function may be made with the role. s.mu is held.
func (s *Server) assumable(arn string) bool {
	r := s.roles[arn[strings.LastIndexByte(arn, '/')+1:]]
	if r == nil || !strings.HasPrefix(arn, "arn:aws:iam::"+Account+":role/") {
		return false
	}
	if r.notYet > 0 {
		r.notYet--
		return false
	}
	return true
}

// query serves IAM and STS: a form in, XML out.
func (s *Server) query(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r.Body = http.MaxBytesReader(w, r.Body, 1<<20)
	_ = r.ParseForm()
	op := r.Form.Get("Action")
	fault := s.count(op)
	var out string
	var err *refuse
	if fault == nil || fault.After {
		out, err = s.answer(op, r.Form)
	}
	if fault != nil {
		err = &refuse{fault.Status, fault.Code, fault.Message}
	}
	w.Header().Set("Content-Type", "text/xml")
	if err != nil {
		w.WriteHeader(err.status)
		fmt.Fprintf(w, `<ErrorResponse><Error><Type>Sender</Type><Code>%s</Code><Message>%s</Message></Error><RequestId>1</RequestId></ErrorResponse>`, err.code, html.EscapeString(err.message))
		return
	}
	fmt.Fprintf(w, `<%[1]sResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><%[1]sResult>%[2]s</%[1]sResult><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></%[1]sResponse>`, op, out)
}

// el writes an element.
func el(name, value string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(value))
	return "<" + name + ">" + b.String() + "</" + name + ">"
}

func wrap(name string, parts ...string) string {
	return "<" + name + ">" + strings.Join(parts, "") + "</" + name + ">"
}

func (r *role) xml(name string, whole bool) string {
	out := el("RoleName", name) + el("RoleId", r.id) + el("Path", r.path) + el("Arn", "arn:aws:iam::"+Account+":role"+r.path+name) + el("CreateDate", "2026-11-23T00:00:00Z") +
		el("AssumeRolePolicyDocument", escape(r.trust))
	if r.session != "" {
		out += el("MaxSessionDuration", r.session)
	}
	if !whole {
		return out
	}
	if r.boundary != "" {
		out += wrap("PermissionsBoundary", el("PermissionsBoundaryType", "Policy"), el("PermissionsBoundaryArn", r.boundary))
	}
	var tags []string
	for k, v := range r.tags {
		tags = append(tags, wrap("member", el("Key", k), el("Value", v)))
	}
	return out + wrap("Tags", tags...) + wrap("RoleLastUsed", el("LastUsedDate", "2026-11-23T01:00:00Z"), el("Region", Region))
}

func members(form url.Values, list, field string) (out []string) {
	for i := 1; ; i++ {
		key := fmt.Sprintf("%s.member.%d", list, i)
		if field != "" {
			key += "." + field
		}
		if !form.Has(key) {
			return out
		}
		out = append(out, form.Get(key))
	}
}

func (r *role) tag(form url.Values) {
	keys, values := members(form, "Tags", "Key"), members(form, "Tags", "Value")
	for i, k := range keys {
		r.tags[k] = values[i]
	}
}

func (s *Server) answer(op string, form url.Values) (string, *refuse) {
	name := form.Get("RoleName")
	switch op {
	case "GetCallerIdentity":
		return el("Account", s.account) + el("Arn", "arn:aws:iam::"+s.account+":user/apex") + el("UserId", "AIDA"), nil
	case "ListRoles":
		names, next := page(slices.Collect(maps.Keys(s.roles)), form.Get("Marker"), 100)
		var list []string
		for _, n := range names {
			list = append(list, wrap("member", s.roles[n].xml(n, false)))
		}
		return el("IsTruncated", fmt.Sprint(next != "")) + el("Marker", next) + wrap("Roles", list...), nil
	case "CreateRole":
		if s.roles[name] != nil {
			return "", &refuse{http.StatusConflict, "EntityAlreadyExists", "Role with name " + name + " already exists."}
		}
		s.serial++
		r := &role{id: fmt.Sprintf("AROA%016d", s.serial), path: form.Get("Path"), trust: form.Get("AssumeRolePolicyDocument"), boundary: form.Get("PermissionsBoundary"),
			inline: map[string]string{}, tags: map[string]string{}, unseen: s.lag, notYet: s.lag, session: form.Get("MaxSessionDuration")}
		if r.path == "" {
			r.path = "/"
		}
		r.tag(form)
		s.roles[name] = r
		return wrap("Role", r.xml(name, true)), nil
	}
	r := s.roles[name]
	if r == nil {
		return "", &refuse{http.StatusNotFound, "NoSuchEntity", "The role with name " + name + " cannot be found."}
	}
	none := &refuse{http.StatusNotFound, "NoSuchEntity", "it cannot be found"}
	policy := form.Get("PolicyName")
	switch op {
	case "GetRole":
		if r.unseen > 0 {
			r.unseen--
			return "", none
		}
		return wrap("Role", r.xml(name, true)), nil
	case "DeleteRole":
		if len(r.inline)+len(r.attached) > 0 {
			return "", &refuse{http.StatusConflict, "DeleteConflict", "Cannot delete entity, must delete policies first."}
		}
		delete(s.roles, name)
	case "UpdateAssumeRolePolicy":
		r.trust = form.Get("PolicyDocument")
	case "UpdateRole":
		r.session = form.Get("MaxSessionDuration")
	case "PutRolePermissionsBoundary":
		r.boundary = form.Get("PermissionsBoundary")
	case "DeleteRolePermissionsBoundary":
		r.boundary = ""
	case "ListRolePolicies":
		var list []string
		for _, n := range slices.Sorted(maps.Keys(r.inline)) {
			list = append(list, el("member", n))
		}
		return el("IsTruncated", "false") + wrap("PolicyNames", list...), nil
	case "GetRolePolicy":
		if _, ok := r.inline[policy]; !ok {
			return "", none
		}
		return el("RoleName", name) + el("PolicyName", policy) + el("PolicyDocument", escape(r.inline[policy])), nil
	case "PutRolePolicy":
		r.inline[policy] = form.Get("PolicyDocument")
	case "DeleteRolePolicy":
		if _, ok := r.inline[policy]; !ok {
			return "", none
		}
		delete(r.inline, policy)
	case "ListAttachedRolePolicies":
		var list []string
		for _, arn := range r.attached {
			list = append(list, wrap("member", el("PolicyName", arn[strings.LastIndexByte(arn, '/')+1:]), el("PolicyArn", arn)))
		}
		return el("IsTruncated", "false") + wrap("AttachedPolicies", list...), nil
	case "AttachRolePolicy":
		if arn := form.Get("PolicyArn"); !slices.Contains(r.attached, arn) {
			r.attached = append(r.attached, arn)
		}
	case "DetachRolePolicy":
		n := len(r.attached)
		r.attached = slices.DeleteFunc(r.attached, func(a string) bool { return a == form.Get("PolicyArn") })
		if len(r.attached) == n {
			return "", none
		}
	case "TagRole":
		r.tag(form)
	case "UntagRole":
		for _, k := range members(form, "TagKeys", "") {
			delete(r.tags, k)
		}
	default:
		return "", &refuse{http.StatusBadRequest, "InvalidAction", "the fake does not know " + op}
	}
	return "", nil
}

// escape writes a document as IAM does (RFC 3986).
func escape(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }
