package corpus

import "slices"

// batch is how many items CPython puts behind one MARK.
const batch = 1000

func (p *pickler) appends(items []any) {
	if p.proto == 0 {
		for _, item := range items {
			p.save(item)
			p.op(opAppend)
		}
		return
	}
	for chunk := range slices.Chunk(items, batch) {
		if len(chunk) == 1 {
			p.save(chunk[0])
			p.op(opAppend)
			continue
		}
		p.op(opMark)
		for _, item := range chunk {
			p.save(item)
		}
		p.op(opAppends)
	}
}

func (p *pickler) setItems(pairs [][2]any) {
	if p.proto == 0 {
		for _, pair := range pairs {
			p.save(pair[0])
			p.save(pair[1])
			p.op(opSetItem)
		}
		return
	}
	for chunk := range slices.Chunk(pairs, batch) {
		if len(chunk) == 1 {
			p.save(chunk[0][0])
			p.save(chunk[0][1])
			p.op(opSetItem)
			continue
		}
		p.op(opMark)
		for _, pair := range chunk {
			p.save(pair[0])
			p.save(pair[1])
		}
		p.op(opSetItems)
	}
}

// joblibArray is an ndarray as joblib's pickler leaves it: a wrapper, then the
// raw bytes between two opcodes.
type joblibArray struct {
	code  string
	shape tup
	data  string
}

func (p *pickler) saveJoblib(v joblibArray) {
	p.save(joblibWrapper(v.code, v.shape))
	p.flush()
	if v.code == "O8" {
		p.out.WriteString(v.data) // a pickle of its own, with its STOP
		return
	}
	p.out.WriteString(joblibRaw(v.data, p.out.Len()))
}

func (p *pickler) saveSet(v *setOf) {
	if p.proto < 4 {
		p.save(reduce("builtins.set", &list{v.items}))
		return
	}
	p.op(opEmptySet)
	p.put(v)
	for chunk := range slices.Chunk(v.items, batch) {
		p.op(opMark)
		for _, item := range chunk {
			p.save(item)
		}
		p.op(opAddItems)
	}
}

func (p *pickler) saveFrozen(v *frozen) {
	if p.proto < 4 {
		p.save(reduce("builtins.frozenset", &list{v.items}))
		return
	}
	p.op(opMark)
	for _, item := range v.items {
		p.save(item)
	}
	p.op(opFrozenSet)
	p.put(v)
}

func (p *pickler) saveObject(v *object) {
	if p.get(v) {
		return
	}
	switch {
	case v.newObj && p.proto < 2:
		p.save(glob("copyreg._reconstructor"))
		p.save(tup{v.function, glob("builtins.object"), nil})
		p.op(opReduce)
	case v.newObj:
		p.save(v.function)
		p.save(v.args)
		p.op(opNewObj)
	default:
		p.save(v.function)
		p.save(v.args)
		p.op(opReduce)
	}
	p.put(v)
	p.appends(v.listItems)
	p.setItems(v.dictItems)
	if v.state != nil {
		p.save(v.state)
		p.op(opBuild)
	}
}
