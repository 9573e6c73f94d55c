// Package iam reads policies of AWS IAM and says what they allow.
//
// Start at [Parse] for one document, [Policies.Evaluate] for one request under
// all the policies that bear on it, and [Rights] for the question that a judge
// of templates asks: what could the holder of these policies do? [AWS] is the
// catalogue of actions: what kind of access each is and which resources it takes.
//
// Templates hold parts that nobody knows before they are deployed ("${…}"), and
// conditions test what only a request shows. Answers are therefore a [Truth]:
// No, Maybe or Yes. Nothing unknown is ever Yes.
//
// Sources: AWS IAM User Guide, "IAM JSON policy reference", "Policy evaluation
// logic" and "IAM JSON policy elements: Condition operators"; the Service
// Authorization Reference for the catalogue (see NOTICE).
package iam

// Truth is an answer in three values. They are ordered: the smaller of two is
// their conjunction, the larger their disjunction.
type Truth uint8

// The truths.
const (
	No Truth = iota
	Maybe
	Yes
)

func (t Truth) String() string {
	switch t {
	case Yes:
		return "yes"
	case Maybe:
		return "maybe"
	}
	return "no"
}

func not(t Truth) Truth { return Yes - t }
