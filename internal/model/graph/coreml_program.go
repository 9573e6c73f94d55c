package graph

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/apexlogic/apex/internal/model/scan"
)

// program looks at a MILSpec.Program: functions of blocks of operations, whose
// values may lie in a file of weights.
func (c *coreml) program(m *message, f field) error {
	return c.in(m, f, func(m *message, f field) error {
		switch {
		case f.is(2, protowire.BytesType): // functions
			return c.value(m, f, func(m *message, f field) error {
				switch {
				case f.is(3, protowire.BytesType): // block_specializations
					return c.value(m, f, c.blockField(0))
				case f.is(4, protowire.BytesType): // attributes
					return c.value(m, f, c.milValue(0))
				}
				return nil
			})
		case f.is(4, protowire.BytesType): // attributes
			return c.value(m, f, c.milValue(0))
		}
		return nil
	})
}

// value walks the value of a map's entry.
func (c *coreml) value(m *message, f field, do func(*message, field) error) error {
	return c.in(m, f, func(m *message, f field) error {
		if f.is(2, protowire.BytesType) {
			return c.in(m, f, do)
		}
		return nil
	})
}

// blockField looks at a field of a Block.
func (c *coreml) blockField(depth int) func(*message, field) error {
	return func(m *message, f field) error {
		switch {
		case depth > maxDepth:
			return &broken{f.at, "blocks nested deeper than any runtime reads"}
		case f.is(3, protowire.BytesType): // operations
			return c.in(m, f, c.operationField(depth))
		case f.is(4, protowire.BytesType): // attributes
			return c.value(m, f, c.milValue(0))
		}
		return nil
	}
}

// operationField looks at a field of an Operation.
func (c *coreml) operationField(depth int) func(*message, field) error {
	return func(m *message, f field) error {
		if f.typ != protowire.BytesType {
			return nil
		}
		switch f.num {
		case 1: // type
			op, err := m.text(f, maxName)
			if strings.HasPrefix(op, "custom") {
				c.report(ruleCoreMLCustom, scan.Op(f.off, op), fmt.Sprintf("the operation %q is of a class that the app must bring", op))
			}
			return err
		case 2: // inputs: Argument.arguments of Binding.value
			return c.value(m, f, func(m *message, f field) error {
				if !f.is(1, protowire.BytesType) {
					return nil
				}
				return c.value(m, f, c.milValue(0))
			})
		case 4: // blocks
			return c.in(m, f, c.blockField(depth+1))
		case 5: // attributes
			return c.value(m, f, c.milValue(0))
		}
		return nil
	}
}

// milValue looks at a field of a Value.
func (c *coreml) milValue(depth int) func(*message, field) error {
	return func(m *message, f field) error {
		switch {
		case depth > maxDepth:
			return &broken{f.at, "values nested deeper than any runtime reads"}
		case f.is(5, protowire.BytesType): // blobFileValue
			return c.in(m, f, c.blobField)
		case f.is(3, protowire.BytesType): // immediateValue
			return c.in(m, f, func(m *message, f field) error {
				if f.typ != protowire.BytesType || f.num != 2 && f.num != 3 { // tuple, list
					return nil
				}
				return c.in(m, f, func(m *message, f field) error {
					if f.is(1, protowire.BytesType) {
						return c.in(m, f, c.milValue(depth+1))
					}
					return nil
				})
			})
		}
		return nil
	}
}

// blobField looks at the name of a file of weights. Converters write it with
// the model's own folder in front.
func (c *coreml) blobField(m *message, f field) error {
	if !f.is(1, protowire.BytesType) {
		return nil
	}
	name, err := m.text(f, longestPath)
	if err != nil {
		return err
	}
	if why := outside(strings.TrimPrefix(name, "@model_path/")); why != "" {
		c.report(ruleCoreMLEscape, scan.At(f.off), fmt.Sprintf("weights are in %q: %s", name, why))
	}
	return nil
}
