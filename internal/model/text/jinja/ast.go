package jinja

// An expr is a node of an expression. Line is where it begins.
type expr interface{ at() int }

type node struct{ line int }

func (n node) at() int { return n.line }

type (
	nameExpr struct {
		node
		name string
	}
	constExpr struct {
		node
		value value
	}
	listExpr struct {
		node
		items []expr
	} // lists and tuples
	dictExpr struct {
		node
		keys, values []expr
	}
	unaryExpr struct {
		node
		op string
		x  expr
	}
	binaryExpr struct {
		node
		op   string
		l, r expr
	} // arithmetic, "and", "or"
	concatExpr struct {
		node
		items []expr
	}
	compareExpr struct {
		node
		items []expr
		ops   []string
	}
	condExpr struct {
		node
		test, then, other expr
	} // other may be nil
	attrExpr struct {
		node
		x    expr
		name string
	}
	indexExpr struct {
		node
		x, key expr
	}
	sliceExpr struct {
		node
		start, stop, step expr
	} // each may be nil
	callExpr struct {
		node
		fn   expr
		args args
	}
	filterExpr struct {
		node
		x    expr
		name string
		args args
	} // x is nil in a filter block
	testExpr struct {
		node
		x    expr
		name string
		args args
	}
)

// args are the arguments of a call, a filter or a test.
type args struct {
	pos    []expr
	names  []string
	named  []expr
	spread []expr // *x and **x
}

// A stmt is a statement.
type stmt interface{}

type (
	textStmt   struct{ text string }
	outputStmt struct{ x expr }
	setStmt    struct {
		node
		target expr
		x      expr
	}
	setBlock struct {
		node
		target expr
		filter expr
		body   []stmt
	}
	forStmt struct {
		node
		target, iter, filter expr // filter may be nil
		body, other          []stmt
	}
	ifStmt struct { // the last test is nil for else
		tests  []expr
		bodies [][]stmt
	}
	macroStmt struct {
		node
		name     string // "" for the body of a call block
		params   []string
		defaults []expr // of the last parameters
		body     []stmt
	}
	callStmt struct {
		node
		call  expr
		macro *macroStmt
	}
	filterStmt struct {
		node
		filter expr
		body   []stmt
	}
	withStmt struct {
		targets, values []expr
		body            []stmt
	}
	blockStmt struct{ body []stmt } // block, generation, autoescape, trans
	loadStmt  struct {
		node
		verb  string
		x     expr
		names []string
	}
	debugStmt struct{ node }
)
