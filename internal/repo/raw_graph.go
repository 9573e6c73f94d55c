package repo

import (
	"bytes"
	"container/heap"
	"context"
	"fmt"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"
)

// Graph answers questions about where commits stand to each other. It reads
// each commit once, as it is stored. One goroutine uses it at a time; it is
// made for one look at a history and then dropped.
//
// The dates in commits are claims of whoever made them. They only say what is
// looked at first: no answer is wrong because a date is.
type Graph struct {
	repo    *Repo
	limit   int
	nodes   map[plumbing.Hash]*node
	touched []*node // whose paint is not zero
	trees   treeCache
	chains  chains
	kept    int // bytes of commits
}

// maxKept bounds the bytes of commits that a Graph keeps, so that who verifies
// them after [Graph.Between] need not read them twice.
const maxKept = 32 << 20

// node is a commit in a Graph.
type node struct {
	hash    plumbing.Hash
	tree    plumbing.Hash
	parents []plumbing.Hash
	when    int64
	data    []byte // nil when it was not kept
	paint   uint8
}

// Paints of nodes, while one question is answered.
const (
	paintLeft  uint8 = 1 << iota // reachable from the one side
	paintRight                   // reachable from the other side
	paintOlder                   // below something that is reachable from both
	paintWaits                   // in the queue
	paintSeen                    // collected
)

const paintBoth = paintLeft | paintRight

// NewGraph returns a graph that refuses, with ErrTooLarge, to look at more than
// limit commits.
func (r *Repo) NewGraph(limit int) *Graph {
	g := &Graph{repo: r, limit: limit, nodes: map[plumbing.Hash]*node{}}
	g.trees.graph = g
	return g
}

// node reads a commit. It is no stricter than it has to be: what is older than
// the first trusted commit may be as it likes.
func (g *Graph) node(h plumbing.Hash) (*node, error) {
	if n, ok := g.nodes[h]; ok {
		return n, nil
	}
	if len(g.nodes) >= g.limit {
		return nil, fmt.Errorf("%w: more than %d commits have to be looked at", ErrTooLarge, g.limit)
	}
	data, err := g.repo.unforged(plumbing.CommitObject, h, maxCommit, &g.chains)
	if err != nil {
		return nil, err
	}
	tree, parents, rest, err := cutLinks(data)
	if err != nil {
		return nil, fmt.Errorf("commit %s: %w", h, err)
	}
	n := &node{hash: h, tree: tree, parents: parents}
	for len(rest) > 0 && rest[0] != '\n' {
		var line []byte
		line, rest, _ = cutLine(rest)
		if value, ok := bytes.CutPrefix(line, []byte("committer ")); ok {
			if _, when, err := parsePerson(string(value)); err == nil {
				n.when = when.Unix()
			}
			break
		}
	}
	if g.kept+len(data) <= maxKept {
		n.data = data
		g.kept += len(data)
	}
	g.nodes[h] = n
	return n, nil
}

// Commit returns a commit that the graph has looked at, as [Repo.RawCommit] does,
// in two steps: the second one may run in any goroutine, and it parses.
func (g *Graph) Commit(c Commit) func() (*RawCommit, error) {
	h, err := c.hash()
	if n := g.nodes[h]; err == nil && n != nil && n.data != nil {
		data := n.data
		g.kept -= len(data)
		n.data = nil
		return func() (*RawCommit, error) { return parseRaw(c, data) }
	}
	return func() (*RawCommit, error) { return g.repo.RawCommit(c) }
}

func (g *Graph) named(c Commit) (*node, error) {
	h, err := c.hash()
	if err != nil {
		return nil, err
	}
	return g.node(h)
}

// newestFirst is a heap of nodes by the dates that they claim.
type newestFirst []*node

func (q newestFirst) Len() int           { return len(q) }
func (q newestFirst) Less(i, j int) bool { return q[i].when > q[j].when }
func (q newestFirst) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *newestFirst) Push(x any)        { *q = append(*q, x.(*node)) }
func (q *newestFirst) Pop() any {
	old := *q
	last := old[len(old)-1]
	*q = old[:len(old)-1]
	return last
}

// painter spreads paint from children to parents. Nodes that wait are done when
// nothing is left to learn from what they descend from.
type painter struct {
	g     *Graph
	done  func(paint uint8) bool
	queue newestFirst
	open  int // nodes in the queue that are not done
}

// add paints a node and has it looked at, if the paint is new to it.
func (p *painter) add(n *node, paint uint8) {
	if n.paint&paint == paint {
		return
	}
	if n.paint == 0 {
		p.g.touched = append(p.g.touched, n)
	}
	if waits := n.paint&paintWaits != 0; waits && !p.done(n.paint) {
		p.open--
	} else if !waits {
		heap.Push(&p.queue, n)
	}
	if n.paint |= paint | paintWaits; !p.done(n.paint) {
		p.open++
	}
}

// spread paints until everything that waits is done, or each, which is called
// for every node whose paint was spread, says that it has seen enough.
func (p *painter) spread(ctx context.Context, each func(*node) (enough bool)) error {
	for steps := 0; p.open > 0; steps++ {
		if steps%256 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		n := heap.Pop(&p.queue).(*node)
		if !p.done(n.paint) {
			p.open--
		}
		n.paint &^= paintWaits
		carry := n.paint & paintBoth
		if carry == paintBoth {
			carry |= paintOlder
		}
		for _, h := range n.parents {
			parent, err := p.g.node(h)
			if err != nil {
				return err
			}
			p.add(parent, carry)
		}
		if each(n) {
			return nil
		}
	}
	return nil
}

func (g *Graph) clean() {
	for _, n := range g.touched {
		n.paint = 0
	}
	g.touched = g.touched[:0]
}

// Between returns the commits that to descends from, itself included, and none
// of from does: those that are new when the commits of from are known. They are
// ordered so that parents come before their children. Where the dates of
// commits are wrong, some that are not new may be among them; none is missing.
func (g *Graph) Between(ctx context.Context, from []Commit, to Commit) ([]Commit, error) {
	defer g.clean()
	p := painter{g: g, done: func(paint uint8) bool { return paint&paintRight != 0 }}
	for _, c := range from {
		n, err := g.named(c)
		if err != nil {
			return nil, err
		}
		p.add(n, paintRight)
	}
	head, err := g.named(to)
	if err != nil {
		return nil, err
	}
	p.add(head, paintLeft)
	if err := p.spread(ctx, func(*node) bool { return false }); err != nil {
		return nil, err
	}
	return g.unknown(head), nil
}

// unknown lists the nodes below head that carry the left paint alone, parents first.
func (g *Graph) unknown(head *node) []Commit {
	isNew := func(n *node) bool { return n != nil && n.paint == paintLeft }
	if !isNew(head) {
		return nil
	}
	var out []Commit
	type step struct {
		n    *node
		next int // of its parents
	}
	stack := []step{{n: head}}
	head.paint |= paintSeen
	for len(stack) > 0 {
		top := &stack[len(stack)-1]
		if top.next == len(top.n.parents) {
			out = append(out, Commit(top.n.hash.String()))
			stack = stack[:len(stack)-1]
			continue
		}
		parent := g.nodes[top.n.parents[top.next]]
		top.next++
		if isNew(parent) {
			parent.paint |= paintSeen
			stack = append(stack, step{n: parent})
		}
	}
	return out
}

// IsAncestor says whether old is one of the commits or an ancestor of one.
func (g *Graph) IsAncestor(ctx context.Context, old Commit, of ...Commit) (bool, error) {
	goal, err := old.hash()
	if err != nil {
		return false, err
	}
	defer g.clean()
	p := painter{g: g, done: func(uint8) bool { return false }}
	for _, c := range of {
		start, err := g.named(c)
		if err != nil || start.hash == goal {
			return err == nil, err
		}
		p.add(start, paintLeft)
	}
	found := false
	err = p.spread(ctx, func(n *node) bool {
		found = slices.Contains(n.parents, goal)
		return found
	})
	return found, err
}

// Bases returns the best common ancestors of a merge of left, and right: common
// ancestors that are no ancestors of other ones. Where the dates of commits are
// wrong, some that are may be among them; none is missing. Histories that have
// nothing in common have none.
func (g *Graph) Bases(ctx context.Context, left []Commit, right Commit) ([]Commit, error) {
	nodes := make([]plumbing.Hash, len(left))
	for i, c := range left {
		var err error
		if nodes[i], err = c.hash(); err != nil {
			return nil, err
		}
	}
	h, err := right.hash()
	if err != nil {
		return nil, err
	}
	bases, err := g.bases(ctx, nodes, h)
	var out []Commit
	for _, n := range bases {
		out = append(out, Commit(n.hash.String()))
	}
	return out, err
}

func (g *Graph) bases(ctx context.Context, left []plumbing.Hash, right plumbing.Hash) ([]*node, error) {
	defer g.clean()
	p := painter{g: g, done: func(paint uint8) bool { return paint&paintOlder != 0 }}
	for i, h := range append(slices.Clone(left), right) {
		n, err := g.node(h)
		if err != nil {
			return nil, err
		}
		paint := paintLeft
		if i == len(left) {
			paint = paintRight
		}
		p.add(n, paint)
	}
	best := func(n *node) bool { return n.paint&(paintBoth|paintOlder) == paintBoth }
	var found []*node
	err := p.spread(ctx, func(n *node) bool {
		if best(n) && !slices.Contains(found, n) {
			found = append(found, n)
		}
		return false
	})
	// What turned out to be below another one meanwhile is left out.
	return slices.DeleteFunc(found, func(n *node) bool { return !best(n) }), err
}
