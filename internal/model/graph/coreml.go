package graph

import (
	"errors"
	"fmt"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/apexlogic/apex/internal/model/scan"
)

var (
	ruleCoreMLCustom = &scan.Rule{ID: "coreml.custom", Severity: scan.Doubtful,
		Why:  "The model runs only in an app that brings the named class, and classes run what they like.",
		Mend: "Have the model converted with Core ML's own layers, or review the class and make an exception."}
	ruleCoreMLEscape = &scan.Rule{ID: "coreml.path.escape", Severity: scan.Harmful,
		Why:        "Core ML opens the named model or weights: a path that leaves the model's folder opens any file.",
		Mend:       "Do not load the model; have it saved again with all of its parts in its own folder.",
		References: []string{"CWE-22"}}
	ruleCoreMLLinked = &scan.Rule{ID: "coreml.linked", Severity: scan.Note,
		Why: "The model runs another model that lies beside it.", Mend: "Scan and sign the other model too."}
	ruleCoreMLBroken = &scan.Rule{ID: "coreml.broken", Severity: scan.Unreadable,
		Why: "Behind what cannot be parsed may stand anything.", Mend: "Have the model saved again."}
)

// CoreML is a Model of Core ML (.mlmodel, and model.mlmodel in .mlpackage).
// It has no magic: what reads as one and has a version and a type is taken.
func CoreML() scan.Format {
	return scan.Format{Name: "coreml", Claim: claimCoreML, Scan: scanCoreML,
		Rules: []*scan.Rule{ruleCoreMLCustom, ruleCoreMLEscape, ruleCoreMLLinked, ruleCoreMLBroken, ruleRemote, ruleStrings}}
}

func claimCoreML(file *scan.File) bool {
	return claimWire(file, func(f field, _ []byte) bool {
		return f.is(1, protowire.VarintType) && f.val > 0 && f.val < 256 || f.typ == protowire.BytesType && isCoreMLType(f.num)
	})
}

// Fields of Model, and of what is in it (mlmodel/format/*.proto).
const (
	modelPipelineClassifier, modelPipelineRegressor, modelPipeline    = 200, 201, 202
	modelNetworkRegressor, modelNetworkClassifier, modelNetwork       = 303, 403, 500
	modelProgram, modelCustom, modelLinked, modelIdentity, modelOther = 502, 555, 556, 900, 3000
	layerCustom, layerBranch, layerLoop                               = 500, 605, 615
	customClass                                                       = 10
)

// isCoreMLType says whether a field of Model holds what the model is.
func isCoreMLType(num protowire.Number) bool {
	switch {
	case num >= 200 && num <= 202, num >= 300 && num <= 304, num >= 400 && num <= 404, num >= 500 && num <= 502,
		num == modelCustom, num == modelLinked, num >= 600 && num <= 610, num == modelIdentity,
		num >= 2000 && num <= 2010, num == modelOther:
		return true
	}
	return false
}

// coreml is the walk of one model.
type coreml struct {
	p       *scan.Place
	s       *source
	strings embedded
	broken  *broken
	version uint64
	typed   bool // the model says what it is
	reports int
}

func scanCoreML(p *scan.Place, file *scan.File) error {
	s, err := newSource(p, file)
	if err != nil {
		return err
	}
	c := &coreml{p: p, s: s, strings: embedded{s: s}}
	err = c.tolerate(c.model(s.message(), 0))
	if (c.version == 0 || c.version > 255 || !c.typed) && (err == nil || errors.Is(err, errDear)) {
		return scan.ErrOther
	}
	if c.broken != nil {
		p.Report(ruleCoreMLBroken, scan.At(c.broken.at), c.broken.what)
	}
	return s.ended(err, ruleCoreMLBroken)
}

// in walks a message inside; what is broken in it is kept, and what follows it
// is still looked at.
func (c *coreml) in(m *message, f field, do func(*message, field) error) error {
	return c.tolerate(m.sub(f).each(do))
}

func (c *coreml) tolerate(err error) error {
	if b, ok := err.(*broken); ok {
		if c.broken == nil {
			c.broken = b
		}
		return nil
	}
	return err
}

func (c *coreml) report(rule *scan.Rule, where scan.Where, detail string) {
	if c.reports++; c.reports <= 100 {
		c.p.Report(rule, where, detail)
	}
}

// model looks at a Model.
func (c *coreml) model(m message, depth int) error {
	if depth > maxDepth {
		return &broken{m.at, "models nested deeper than any runtime reads"}
	}
	return m.each(func(m *message, f field) error {
		if f.is(1, protowire.VarintType) && depth == 0 {
			c.version = f.val
		}
		if f.typ != protowire.BytesType {
			return nil
		}
		if isCoreMLType(f.num) && depth == 0 && !c.typed {
			c.typed = f.len() == 0 || m.sub(f).begins()
		}
		switch f.num {
		case 2:
			return c.description(m, f)
		case modelPipeline:
			return c.pipeline(m, f, depth)
		case modelPipelineClassifier, modelPipelineRegressor:
			return c.in(m, f, func(m *message, f field) error {
				if f.is(1, protowire.BytesType) {
					return c.pipeline(m, f, depth)
				}
				return nil
			})
		case modelNetworkRegressor, modelNetworkClassifier, modelNetwork:
			return c.network(m, f, depth)
		case modelProgram:
			return c.program(m, f)
		case modelCustom:
			return c.custom(m, f, "model")
		case modelLinked:
			return c.linked(m, f)
		}
		return nil
	})
}

// begins says whether a message begins as one.
func (m message) begins() bool {
	var f field
	ok, err := m.next(&f)
	return ok && err == nil
}

// description looks for Metadata in a ModelDescription.
func (c *coreml) description(m *message, f field) error {
	return c.in(m, f, func(m *message, f field) error {
		if !f.is(100, protowire.BytesType) {
			return nil
		}
		return c.in(m, f, func(m *message, f field) error {
			if f.typ != protowire.BytesType {
				return nil
			}
			switch f.num {
			case 3, 4: // author, license
				value, err := m.text(f, maxName)
				c.p.Property([...]string{3: "author", 4: "license"}[f.num], value)
				return err
			case 100: // userDefined
				key, value, err := m.sub(f).entry()
				if err != nil || value.len() == 0 {
					if isBroken(err) {
						return nil
					}
					return err
				}
				return c.strings.look(key, value)
			}
			return nil
		})
	})
}

func (c *coreml) pipeline(m *message, f field, depth int) error {
	return c.in(m, f, func(m *message, f field) error {
		if f.is(1, protowire.BytesType) { // models
			return c.tolerate(c.model(m.sub(f), depth+1))
		}
		return nil
	})
}

// network looks at a NeuralNetwork: its layers, and those in branches and loops.
func (c *coreml) network(m *message, f field, depth int) error {
	if depth > maxDepth {
		return &broken{f.off, "networks nested deeper than any runtime reads"}
	}
	return c.in(m, f, func(m *message, f field) error {
		if !f.is(1, protowire.BytesType) { // layers
			return nil
		}
		return c.in(m, f, func(m *message, f field) error {
			if f.typ != protowire.BytesType {
				return nil
			}
			switch f.num {
			case layerCustom:
				return c.custom(m, f, "layer")
			case layerBranch, layerLoop:
				return c.in(m, f, func(m *message, inner field) error {
					if inner.typ == protowire.BytesType && (f.num == layerBranch && inner.num <= 2 || f.num == layerLoop && inner.num >= 3) {
						return c.network(m, inner, depth+1)
					}
					return nil
				})
			}
			return nil
		})
	})
}

// custom reports a CustomModel or CustomLayerParams.
func (c *coreml) custom(m *message, f field, what string) error {
	var class string
	err := c.in(m, f, func(m *message, f field) (err error) {
		if f.is(customClass, protowire.BytesType) {
			class, err = m.text(f, maxName)
		}
		return err
	})
	c.report(ruleCoreMLCustom, scan.Op(f.at, class), fmt.Sprintf("a %s is of the class %q, which the app must bring", what, class))
	return err
}

// linked looks at a LinkedModel: the file's name and where it is searched.
func (c *coreml) linked(m *message, f field) error {
	return c.in(m, f, func(m *message, f field) error {
		if !f.is(1, protowire.BytesType) { // linkedModelFile
			return nil
		}
		return c.in(m, f, func(m *message, f field) error {
			if f.typ != protowire.BytesType || f.num > 2 { // linkedModelFileName, linkedModelSearchPath
				return nil
			}
			return c.in(m, f, func(m *message, inner field) error {
				if !inner.is(1, protowire.BytesType) { // defaultValue
					return nil
				}
				value, err := m.text(inner, longestPath)
				if err != nil {
					return err
				}
				paths := []string{value}
				if f.num == 2 {
					paths = strings.Split(value, ":")
				}
				why := ""
				for _, path := range paths {
					if !strings.HasPrefix(path, "$BUNDLE_") || strings.Contains(path, "..") {
						why = outside(path)
					}
					if why != "" {
						break
					}
				}
				if why != "" {
					c.report(ruleCoreMLEscape, scan.At(inner.off), fmt.Sprintf("another model is run from %q: %s", value, why))
				} else if f.num == 1 {
					c.report(ruleCoreMLLinked, scan.At(inner.off), fmt.Sprintf("the model %q is run", value))
				}
				return nil
			})
		})
	})
}
