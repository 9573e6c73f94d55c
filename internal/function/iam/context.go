package iam

import "strings"

// State says what is known of a condition key.
type State uint8

// The states.
const (
	// Absent: the request does not carry the key.
	Absent State = iota
	// Present: it does, with the values.
	Present
	// Chosen: whoever makes the request sets it as they like, or leaves it out.
	Chosen
	// Stranger: it is a value that no policy names, or it is missing: what
	// somebody carries who is not among those that a policy means.
	Stranger
	// Foreign: nothing is known about it.
	Foreign
)

// Value is what is known of one condition key.
type Value struct {
	State  State
	Values []string
}

// Context answers for a condition key, which it is given in lower case. A nil
// Context is that of a request without any.
type Context func(key string) Value

// Known is the context of a request that was really made: keys in any case,
// those that are missing are absent.
func Known(values map[string][]string) Context {
	lower := make(map[string][]string, len(values))
	for k, v := range values {
		lower[strings.ToLower(k)] = v
	}
	return func(key string) Value {
		v, ok := lower[key]
		if !ok {
			return Value{}
		}
		return Value{State: Present, Values: v}
	}
}

func (c Context) lookup(key string) Value {
	if c == nil {
		return Value{}
	}
	return c(key)
}

// Attacker is what is assumed of whoever holds the rights that are judged: a
// caller who has stolen them, with long-term credentials, from the internet.
type Attacker struct {
	// Action is what is attempted.
	Action string
	// ARN is that of the holder, "" when it is not known.
	ARN string
	// TagsSelf and TagsResources say whether the holder may set its own tags,
	// and those of the resources of the action's service: then a condition on
	// them is no bound.
	TagsSelf, TagsResources bool
	// Values are those of the attempt, by key in lower case; nil values: absent.
	Values map[string][]string
}

// Context says what the attacker's requests carry. It decides which conditions
// bound rights and which can be met by whoever holds them:
//
//   - what the caller writes into the request (tags, region, user agent,
//     headers) is chosen;
//   - the caller's own account and organisation are what a policy means them to be;
//   - multi-factor authentication is absent, as it is with an access key, so
//     that "BoolIfExists" is no bound and "Bool" is one;
//   - addresses, networks and the tags of others are a stranger's;
//   - what a service adds when it calls (aws:SourceArn, kms:ViaService) is absent.
func (a Attacker) Context() Context {
	service, _, _ := strings.Cut(strings.ToLower(a.Action), ":")
	return func(key string) Value {
		if v, ok := a.Values[key]; ok {
			if v == nil {
				return Value{}
			}
			return Value{State: Present, Values: v}
		}
		prefix, name, _ := strings.Cut(key, ":")
		switch {
		case strings.HasPrefix(key, "aws:requesttag/"), strings.HasPrefix(key, "s3:requestobjecttag"):
			return Value{State: Chosen}
		case strings.HasPrefix(key, "aws:principaltag/"):
			return Value{State: chosenIf(a.TagsSelf)}
		case strings.HasPrefix(name, "resourcetag/"), strings.HasPrefix(name, "existingobjecttag/"):
			return Value{State: chosenIf(a.TagsResources)}
		case prefix == "s3" && strings.HasPrefix(name, "x-amz-"), strings.HasPrefix(key, "ec2:metadatahttp"):
			return Value{State: Chosen}
		}
		switch key {
		case "aws:requestedregion":
			if service == "iam" || service == "organizations" || service == "route53" {
				return Value{State: Present, Values: []string{"us-east-1"}} // where the global services are
			}
			return Value{State: Chosen}
		case "aws:tagkeys", "aws:useragent", "aws:referer", "aws:securetransport", "aws:currenttime", "aws:epochtime",
			"aws:principalaccount", "aws:resourceaccount", "aws:principalorgid", "aws:resourceorgid", "aws:principalorgpaths", "aws:resourceorgpaths",
			"s3:authtype", "s3:signatureversion", "s3:signatureage", "s3:tlsversion", "s3:max-keys", "s3:delimiter", "s3:resourceaccount",
			"kms:calleraccount", "sts:rolesessionname", "secretsmanager:versionstage", "secretsmanager:versionid", "ssm:recursive", "ssm:overwrite",
			"ec2:instancetype", "ec2:region", "ec2:volumesize", "ec2:volumetype", "ec2:encrypted", "ec2:islaunchtemplateresource",
			"lambda:functionurlauthtype", "iam:associatedresourcearn", "iam:passedtoservice", "iam:awsservicename":
			return Value{State: Chosen}
		case "aws:multifactorauthpresent", "aws:multifactorauthage", "aws:sourcearn", "aws:sourceaccount", "aws:sourceorgid", "aws:sourceorgpaths",
			"kms:viaservice", "aws:calledvia", "aws:calledviafirst", "aws:calledvialast", "iam:permissionsboundary", "aws:sourceidentity", "aws:federatedprovider":
			return Value{}
		case "aws:viaawsservice", "aws:principalisawsservice":
			return Value{State: Present, Values: []string{"false"}}
		case "aws:principalarn":
			if a.ARN != "" {
				return Value{State: Present, Values: []string{a.ARN}}
			}
			return Value{State: Stranger}
		case "aws:sourceip", "aws:vpcsourceip", "aws:sourcevpc", "aws:sourcevpce", "aws:userid", "aws:username", "aws:principaltype", "iam:policyarn":
			return Value{State: Stranger}
		}
		return Value{State: Foreign}
	}
}

func chosenIf(can bool) State {
	if can {
		return Chosen
	}
	return Stranger
}
