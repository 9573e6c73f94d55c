package config

import (
	"fmt"
	"sync"

	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/containers"
	"github.com/google/cel-go/common/stdlib"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/interpreter"
	expr "google.golang.org/genproto/googleapis/api/expr/v1alpha1"
	"google.golang.org/protobuf/proto"
)

// rule is one x-kubernetes-validations entry. Its expression was parsed and
// checked when the schema was generated; what is left is to plan and run it,
// which needs neither CEL's parser nor its environment.
type rule struct {
	Rule    string `json:"rule"`
	Message string `json:"message"`
	Checked []byte `json:"checked"` // CheckedExpr, protobuf

	once    sync.Once
	program interpreter.InterpretableV2
	err     error
}

// planner plans checked expressions over the standard functions of CEL.
var planner = sync.OnceValues(func() (interpreter.Interpreter, error) {
	dispatcher := interpreter.NewDispatcher()
	for _, function := range stdlib.Functions() {
		bindings, err := function.Bindings()
		if err != nil {
			return nil, err
		}
		if err := dispatcher.Add(bindings...); err != nil {
			return nil, err
		}
	}
	registry := types.NewEmptyRegistry()
	attributes := interpreter.NewAttributeFactory(containers.DefaultContainer, types.DefaultTypeAdapter, registry)
	return interpreter.NewInterpreter(dispatcher, containers.DefaultContainer, registry, types.DefaultTypeAdapter, attributes), nil
})

func (r *rule) plan() error {
	r.once.Do(func() {
		var checked expr.CheckedExpr
		if r.err = proto.Unmarshal(r.Checked, &checked); r.err != nil {
			return
		}
		var tree *ast.AST
		if tree, r.err = ast.ToAST(&checked); r.err != nil {
			return
		}
		var plan interpreter.Interpreter
		if plan, r.err = planner(); r.err != nil {
			return
		}
		r.program, r.err = plan.NewInterpretable(tree)
	})
	return r.err
}

// holds evaluates the rule for self. An error means that it could not be
// evaluated, which callers treat like false. It is safe for concurrent use.
func (r *rule) holds(self any) (ok bool, err error) {
	if err := r.plan(); err != nil {
		return false, err
	}
	defer func() {
		if p := recover(); p != nil {
			ok, err = false, fmt.Errorf("the rule failed: %v", p)
		}
	}()
	frame, err := interpreter.NewExecutionFrame(map[string]any{"self": self})
	if err != nil {
		return false, err
	}
	defer frame.Close()
	switch result := r.program.Exec(frame).(type) {
	case types.Bool:
		return bool(result), nil
	case *types.Err:
		return false, result
	default:
		return false, fmt.Errorf("the rule's result is %v, not a bool", result.Type())
	}
}
