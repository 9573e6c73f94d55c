package iam

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Condition is one key of one operator of a Condition element.
type Condition struct {
	Operator string // as IAM spells it, without prefix and suffix: "StringEquals"
	Key      string // in lower case: "aws:sourceip"
	Values   []*Pattern

	// Set is how the values of a key with several are taken together.
	Set      Set
	IfExists bool

	spelled string   // the key as it was written
	op      operator // without a name where the template computes it
}

// Set is the prefix of an operator.
type Set uint8

// The sets.
const (
	Single Set = iota
	ForAllValues
	ForAnyValue
)

// operator says how one value of a request is compared with one of the policy.
type operator struct {
	name    string
	negated bool
	as      dialect
	test    func(want string, have string) Truth // nil: the pattern decides
}

// operators is a function, so that a start costs nothing.
func operators(name string) (operator, bool) {
	num := func(ok func(int) bool) func(string, string) Truth {
		return func(want, have string) Truth { return compare(number, want, have, ok) }
	}
	day := func(ok func(int) bool) func(string, string) Truth {
		return func(want, have string) Truth { return compare(date, want, have, ok) }
	}
	equal := func(c int) bool { return c == 0 }
	less := func(c int) bool { return c < 0 }
	atMost := func(c int) bool { return c <= 0 }
	more := func(c int) bool { return c > 0 }
	atLeast := func(c int) bool { return c >= 0 }
	folded := dialect{vars: true, fold: true}
	arn := dialect{wild: true, vars: true, arn: true}
	switch strings.ToLower(name) {
	case "stringequals":
		return operator{"StringEquals", false, asLiteral, nil}, true
	case "stringnotequals":
		return operator{"StringNotEquals", true, asLiteral, nil}, true
	case "stringequalsignorecase":
		return operator{"StringEqualsIgnoreCase", false, folded, nil}, true
	case "stringnotequalsignorecase":
		return operator{"StringNotEqualsIgnoreCase", true, folded, nil}, true
	case "stringlike":
		return operator{"StringLike", false, asLike, nil}, true
	case "stringnotlike":
		return operator{"StringNotLike", true, asLike, nil}, true
	case "arnequals", "arnlike": // the two are the same
		return operator{"ArnLike", false, arn, nil}, true
	case "arnnotequals", "arnnotlike":
		return operator{"ArnNotLike", true, arn, nil}, true
	case "binaryequals":
		return operator{"BinaryEquals", false, dialect{}, nil}, true
	case "bool":
		return operator{"Bool", false, folded, nil}, true
	case "null":
		return operator{"Null", false, folded, nil}, true
	case "ipaddress":
		return operator{"IpAddress", false, asLiteral, inside}, true
	case "notipaddress":
		return operator{"NotIpAddress", true, asLiteral, inside}, true
	case "numericequals":
		return operator{"NumericEquals", false, asLiteral, num(equal)}, true
	case "numericnotequals":
		return operator{"NumericNotEquals", true, asLiteral, num(equal)}, true
	case "numericlessthan":
		return operator{"NumericLessThan", false, asLiteral, num(less)}, true
	case "numericlessthanequals":
		return operator{"NumericLessThanEquals", false, asLiteral, num(atMost)}, true
	case "numericgreaterthan":
		return operator{"NumericGreaterThan", false, asLiteral, num(more)}, true
	case "numericgreaterthanequals":
		return operator{"NumericGreaterThanEquals", false, asLiteral, num(atLeast)}, true
	case "dateequals":
		return operator{"DateEquals", false, asLiteral, day(equal)}, true
	case "datenotequals":
		return operator{"DateNotEquals", true, asLiteral, day(equal)}, true
	case "datelessthan":
		return operator{"DateLessThan", false, asLiteral, day(less)}, true
	case "datelessthanequals":
		return operator{"DateLessThanEquals", false, asLiteral, day(atMost)}, true
	case "dategreaterthan":
		return operator{"DateGreaterThan", false, asLiteral, day(more)}, true
	case "dategreaterthanequals":
		return operator{"DateGreaterThanEquals", false, asLiteral, day(atLeast)}, true
	}
	return operator{}, false
}

func (r *reader) conditions(raw json.RawMessage) ([]Condition, error) {
	switch firstByte(raw) {
	case 0, 'n':
		return nil, nil
	case '{':
	default:
		return nil, errors.New("expected an object")
	}
	names, blocks, err := object(raw)
	if err != nil {
		return nil, err
	}
	var out []Condition
	for i, full := range names {
		c := Condition{}
		name := full
		if prefix, rest, ok := strings.Cut(name, ":"); ok {
			switch strings.ToLower(prefix) {
			case "forallvalues":
				c.Set, name = ForAllValues, rest
			case "foranyvalue":
				c.Set, name = ForAnyValue, rest
			}
		}
		const suffix = "ifexists"
		if n := len(name) - len(suffix); n > 0 && strings.EqualFold(name[n:], suffix) {
			c.IfExists, name = true, name[:n]
		}
		op, ok := operators(name)
		if !ok && !strings.Contains(name, "${") {
			return nil, fmt.Errorf("operator %.60q is none of IAM's", full)
		}
		c.Operator, c.op = op.name, op
		keys, values, err := object(blocks[i])
		if err != nil {
			return nil, fmt.Errorf("%.60s: %w", full, err)
		}
		for j, key := range keys {
			texts, err := r.texts(values[j])
			if err != nil {
				return nil, fmt.Errorf("%.60s: %.80s: %w", full, key, err)
			}
			one := c
			one.Key, one.spelled = strings.ToLower(key), key
			as := op.as
			as.vars = as.vars && r.vars
			for _, t := range texts {
				one.Values = append(one.Values, compile(t, as))
			}
			out = append(out, one)
		}
	}
	return out, nil
}

// holds says whether the condition is met. With wish, the one who makes the
// request chooses what they can so that the answer becomes the wish.
func (c *Condition) holds(ctx Context, wish Truth) Truth {
	op := c.op
	if op.name == "" {
		return Maybe // an operator that the template computes
	}
	have := ctx.lookup(c.Key)
	if op.name == "Null" {
		return c.null(have)
	}
	switch have.State {
	case Absent:
		switch {
		case c.IfExists:
			return Yes
		case c.Set == ForAllValues:
			return Yes
		case c.Set == ForAnyValue:
			return No
		}
		return truth(op.negated)
	case Stranger:
		switch {
		case c.trivial(op), op.negated:
			return Yes
		case c.IfExists || c.Set == ForAllValues:
			// They can make a request that lacks the key; an address every one has.
			return truth(c.Key != "aws:sourceip")
		}
		return No
	case Foreign:
		if c.trivial(op) {
			return Yes
		}
		return Maybe
	case Chosen:
		if len(c.Values) == 0 && !op.negated {
			return No
		}
		if c.trivial(op) {
			return Yes
		}
		return wish
	}
	some, all := No, Yes
	for _, v := range have.Values {
		t := c.one(op, v, ctx)
		some, all = max(some, t), min(all, t)
	}
	switch {
	case c.Set == ForAllValues:
		return all
	case c.Set == ForAnyValue:
		return some
	case op.negated: // a plain operator on several values: none of them may be listed
		return all
	}
	return some
}

// one compares one value of the request with all of the policy.
func (c *Condition) one(op operator, have string, ctx Context) Truth {
	any := No
	for _, p := range c.Values {
		t := No
		if op.test == nil {
			t = p.Match(have, ctx)
		} else if want, state := p.value(ctx); state == Yes {
			t = op.test(want, have)
		} else if state == Maybe {
			t = Maybe
		}
		any = max(any, t)
	}
	if op.negated {
		return not(any)
	}
	return any
}

// value is the pattern as a text, its variables replaced.
func (p *Pattern) value(ctx Context) (string, Truth) {
	tokens, state := p.bind(ctx)
	if state != Yes {
		return "", state
	}
	var b strings.Builder
	for _, t := range tokens {
		b.WriteRune(t.r)
	}
	return b.String(), Yes
}

func (c *Condition) null(have Value) Truth {
	any := No
	for _, p := range c.Values {
		var t Truth
		switch have.State {
		case Absent:
			t = p.Match("true", nil)
		case Present:
			t = p.Match("false", nil)
		case Chosen: // a null test picks out those who send the key, or who do not: anybody can
			t = Yes
		default:
			t = Maybe
		}
		any = max(any, t)
	}
	return any
}

// trivial says that the condition is met whatever the value is.
func (c *Condition) trivial(op operator) bool {
	if op.negated {
		return false
	}
	return slices.ContainsFunc(c.Values, func(p *Pattern) bool {
		if op.name == "IpAddress" {
			prefix, err := netip.ParsePrefix(p.text)
			return err == nil && prefix.Bits() == 0
		}
		return op.as.wild && (p.Everything() || anyARN(p.text))
	})
}

// anyARN says whether an ARN names neither an account nor a thing, as
// "arn:aws:s3:::*" and "arn:aws:iam::*:role/*" do: anybody has one of those.
func anyARN(text string) bool {
	parts := strings.SplitN(text, ":", arnSegments+1)
	if len(parts) <= arnSegments || strings.Trim(parts[4], "*?") != "" {
		return false
	}
	name := parts[5]
	if i := strings.IndexAny(name, "/:"); i >= 0 && strings.Trim(name[:i], "abcdefghijklmnopqrstuvwxyz-") == "" {
		name = name[i+1:]
	}
	return name != "" && strings.Trim(name, "*?/:") == ""
}

func compare(parse func(string) (float64, bool), want, have string, ok func(int) bool) Truth {
	w, fine := parse(want)
	h, also := parse(have)
	if !fine || !also {
		return No
	}
	switch {
	case h < w:
		return truth(ok(-1))
	case h > w:
		return truth(ok(1))
	}
	return truth(ok(0))
}

func number(s string) (float64, bool) {
	f, err := strconv.ParseFloat(s, 64)
	return f, err == nil && !math.IsNaN(f) && !math.IsInf(f, 0)
}

// date reads the forms of ISO 8601 that IAM takes, and seconds since 1970.
func date(s string) (float64, bool) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04Z07:00", "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02", "2006-01", "2006"} {
		if t, err := time.Parse(layout, s); err == nil {
			return float64(t.UnixNano()) / 1e9, true
		}
	}
	return number(s)
}

func inside(want, have string) Truth {
	address, err := netip.ParseAddr(have)
	if err != nil {
		return No
	}
	if prefix, err := netip.ParsePrefix(want); err == nil {
		return truth(prefix.Contains(address.Unmap()) || prefix.Contains(address))
	}
	single, err := netip.ParseAddr(want)
	return truth(err == nil && single == address)
}
