package judge

import "github.com/apexlogic/apex/internal/function/stack"

func functionPublicInvoke() Class {
	return Class{
		ID: "function_public_invoke", Severity: "high",
		Why:  "the function can be called by anybody, and the gateway does not stand in front of it",
		Mend: "ask for an identity (AWS_IAM, an authorizer), make the route cluster-local, or lead it through the Apex gateway",
		find: func(sc *scene) {
			for i := range sc.stack.Functions {
				f := &sc.stack.Functions[i]
				if len(f.Public) == 0 || f.Gateway {
					continue
				}
				var others []stack.Where
				for _, e := range f.Public[1:] {
					others = append(others, e.Where)
				}
				where := f.Public[0].Where
				if where.File == "" {
					where = f.Where
				}
				sc.report(where, f.ID, "anybody can call it: "+f.Public[0].How, others...)
			}
		},
	}
}
