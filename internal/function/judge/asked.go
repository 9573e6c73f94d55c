package judge

import (
	"fmt"
	"time"

	"github.com/apexlogic/apex/internal/function/stack"
)

// maxTimeout is what Lambda allows; a function that may run as long bounds
// nothing.
const maxTimeout = 15 * time.Minute

func functionNoTimeout() Class {
	return Class{
		ID: "function_no_timeout", Severity: "low",
		Why:   "nothing bounds how long a call runs and costs",
		Mend:  "set a timeout somewhat above the slowest call that is right",
		asked: func(o Options) bool { return o.Timeout },
		find: func(sc *scene) {
			for i := range sc.stack.Functions {
				switch f := &sc.stack.Functions[i]; {
				case f.Timeout <= 0:
					sc.report(f.Where, f.ID, "no timeout is set")
				case f.Timeout >= maxTimeout:
					sc.report(f.Where, f.ID, fmt.Sprintf("its timeout of %s is the longest there is", f.Timeout))
				}
			}
		},
	}
}

func functionEgressAnywhere() Class {
	return Class{
		ID: "function_egress_anywhere", Severity: "medium",
		Why:   "the function can send what it has to anywhere",
		Mend:  "run it inside of a network whose rules name where it may connect to",
		asked: func(o Options) bool { return o.Egress },
		find: func(sc *scene) {
			for i := range sc.stack.Functions {
				// What is not known is no restriction.
				if f := &sc.stack.Functions[i]; f.Egress != stack.EgressRestricted {
					sc.report(f.Where, f.ID, "may connect to anywhere")
				}
			}
		},
	}
}

func functionNoGateway() Class {
	return Class{
		ID: "function_no_gateway", Severity: "medium",
		Why:   "requests reach the function without passing the Apex gateway",
		Mend:  "put a ProtectedRoute in front of it and its label on the function",
		asked: func(o Options) bool { return o.Gateway },
		find: func(sc *scene) {
			for i := range sc.stack.Functions {
				if f := &sc.stack.Functions[i]; !f.Gateway {
					sc.report(f.Where, f.ID, "does not stand behind the gateway")
				}
			}
		},
	}
}

func functionRightsUnknown() Class {
	return Class{
		ID: "function_rights_unknown", Severity: "medium",
		Why:  "a part of somebody's rights could not be judged: it is not safe, and not known to be unsafe",
		Mend: "give the values that the template lacks, or mend the document",
		find: func(sc *scene) {
			for _, u := range sc.unknown {
				if u.broken || sc.options.Unknown {
					sc.report(u.where, u.resource, u.why)
				}
			}
		},
	}
}
