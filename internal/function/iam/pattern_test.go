package iam

import (
	"strings"
	"testing"
)

func TestPatternsMatchAsIAMDoes(t *testing.T) {
	user := Known(map[string][]string{"aws:username": {"ann"}, "aws:PrincipalTag/team": {"a*b"}})
	for _, tc := range []struct {
		pattern, text string
		want          Truth
	}{
		{"*", "", Yes},
		{"*", "anything:at/all", Yes},
		{"arn:aws:s3:::photos/*", "arn:aws:s3:::photos/a/b", Yes},
		{"arn:aws:s3:::photos/*", "arn:aws:s3:::photos", No},
		{"arn:aws:s3:::photos*", "arn:aws:s3:::photos-old/x", Yes},
		{"arn:aws:s3:::Photos", "arn:aws:s3:::photos", No}, // case counts
		{"arn:aws:s3:::photo?", "arn:aws:s3:::photos", Yes},
		{"arn:aws:s3:::photo?", "arn:aws:s3:::photo", No},
		{"arn:aws:s3:::photo?", "arn:aws:s3:::photoé", Yes}, // one character, two bytes
		{"arn:aws:iam::*:role/app", "arn:aws:iam::123456789012:role/app", Yes},
		{"arn:aws:iam::12*34:role/app", "arn:aws:iam::12934:role/app", Yes},
		{"arn:aws:iam::1*9:role/app", "arn:aws:iam::1:x:9:role/app", No}, // a star within a segment stays in it
		{"arn:aws:logs:*", "arn:aws:logs:eu-west-1:1:log-group:x", Yes},  // at its end it does not
		{"arn:aws:logs:eu-*:1:log-group:x", "arn:aws:logs:eu-west-1:1:log-group:x", Yes},
		{"arn:aws:s3:::a*c", "arn:aws:s3:::a:b:c", Yes}, // nor in the resource
		{"arn:aws:iam::1:user/${aws:username}", "arn:aws:iam::1:user/ann", Yes},
		{"arn:aws:iam::1:user/${aws:username}", "arn:aws:iam::1:user/bob", No},
		{"arn:aws:iam::1:user/${AWS:UserName}", "arn:aws:iam::1:user/ann", Yes}, // keys have no case
		{"arn:aws:s3:::b/${aws:PrincipalTag/team}/x", "arn:aws:s3:::b/a*b/x", Yes},
		{"arn:aws:s3:::b/${aws:PrincipalTag/team}/x", "arn:aws:s3:::b/azzb/x", No}, // a value's star is a star only
		{"arn:aws:s3:::b/${aws:PrincipalTag/none}", "arn:aws:s3:::b/", No},
		{"arn:aws:s3:::b/${aws:PrincipalTag/none, 'shared'}", "arn:aws:s3:::b/shared", Yes},
		{"arn:aws:s3:::b/${*}", "arn:aws:s3:::b/*", Yes},
		{"arn:aws:s3:::b/${*}", "arn:aws:s3:::b/x", No},
		{"arn:aws:s3:::b/${$}{x}", "arn:aws:s3:::b/${x}", Yes},
		{"arn:aws:s3:::${var.bucket}/*", "arn:aws:s3:::photos/a", Maybe},
		{"arn:aws:s3:::${var.bucket}/*", "arn:aws:sqs:::photos/a", No},
		{"${aws_s3_bucket.b.arn}", "arn:aws:s3:::photos", Maybe},
		{"arn:${AWS::Partition}:s3:::b", "arn:aws:s3:::b", Maybe},
		{"arn:aws:s3:::${self:service}", "arn:aws:s3:::x", Maybe},
		{"arn:aws:s3:::${never", "arn:aws:s3:::x", Maybe},
		{"", "", Yes},
		{"", "x", No},
	} {
		if got := ResourcePattern(tc.pattern).Match(tc.text, user); got != tc.want {
			t.Errorf("%q and %q: %v, want %v", tc.pattern, tc.text, got, tc.want)
		}
	}
	for _, tc := range []struct {
		pattern, action string
		want            Truth
	}{
		{"s3:GetObject", "S3:getobject", Yes}, {"S3:Get*", "s3:GetObject", Yes}, {"s3:Get?bject", "s3:GetObject", Yes}, {"*", "s3:GetObject", Yes},
		{"*:Get*", "s3:GetObject", Yes}, {"s3:*Object", "s3:GetObjectAcl", No}, {"s3:Get", "s3:GetObject", No}, {"${var.a}", "s3:GetObject", Maybe}, {"s3:${var.a}", "sqs:SendMessage", No},
	} {
		if got := ActionPattern(tc.pattern).Match(tc.action, nil); got != tc.want {
			t.Errorf("%q and %q: %v, want %v", tc.pattern, tc.action, got, tc.want)
		}
	}
}

func TestOnePatternCoversOrOverlapsAnother(t *testing.T) {
	for _, tc := range []struct {
		p, q             string
		covers, overlaps bool
	}{
		{"*", "arn:aws:s3:::b", true, true},
		{"arn:aws:s3:::*", "arn:aws:s3:::b/*", true, true},
		{"arn:aws:s3:::b/*", "arn:aws:s3:::*", false, true},
		{"arn:aws:s3:::a*", "arn:aws:s3:::*a", false, true},
		{"arn:aws:s3:::a*", "arn:aws:s3:::b*", false, false},
		{"arn:aws:s3:::a?", "arn:aws:s3:::a*", false, true},
		{"arn:aws:s3:::a?", "arn:aws:s3:::ab", true, true},
		{"${var.x}", "${var.x}", true, true},
		{"${var.x}", "${var.y}", false, true},
		{"${var.x}", "arn:aws:s3:::b", false, true},
		{"arn:aws:s3:::*", "${var.x}", false, true},
		{"arn:aws:s3:::*", "arn:aws:s3:::${var.x}", true, true},
		{"arn:aws:iam::1*2:role/a", "arn:aws:iam::1*2:role/a", true, true},
		{"arn:aws:iam::1:user/${aws:username}", "arn:aws:iam::1:user/*", false, true},
	} {
		p, q := ResourcePattern(tc.p), ResourcePattern(tc.q)
		if p.Covers(q) != tc.covers || p.Overlaps(q) != tc.overlaps || q.Overlaps(p) != tc.overlaps {
			t.Errorf("%q and %q: covers %v, overlaps %v and %v", tc.p, tc.q, p.Covers(q), p.Overlaps(q), q.Overlaps(p))
		}
	}
}

// FuzzMatch holds the quick matcher to the thorough one, and covering and
// overlapping to matching.
func FuzzMatch(f *testing.F) {
	for _, s := range [][3]string{{"*", "a*", "ab"}, {"arn:aws:iam::1*:x", "arn:aws:iam::12:x", "arn:aws:iam::12:x"}, {"a?*b*", "a*bb", "axxbb"}, {"${var.x}*", "é?", "éa"}, {"${aws:username}", "${*}", "*"}} {
		f.Add(s[0], s[1], s[2])
	}
	f.Fuzz(func(t *testing.T, one, two, text string) {
		if len(one) > 64 || len(two) > 64 || len(text) > 64 {
			return
		}
		p, q := ResourcePattern(one), ResourcePattern(two)
		inP, inQ := p.Match(text, nil), q.Match(text, nil)
		if p.greedy {
			tokens, state := p.bind(nil)
			if state != No && quick(tokens, text) != thorough(tokens, []rune(text)) {
				t.Fatalf("the matchers disagree on %q and %q", one, text)
			}
		}
		if inQ == Yes && inP == No && p.Covers(q) && strings.ToValidUTF8(text, "") == text {
			t.Fatalf("%q covers %q, which alone matches %q", one, two, text)
		}
		if inP == Yes && inQ == Yes && !p.Overlaps(q) {
			t.Fatalf("%q and %q both match %q and do not overlap", one, two, text)
		}
	})
}
