package pickle

import (
	"fmt"

	"github.com/apexlogic/apex/internal/model/scan"
)

func (m *machine) tooMuch() error {
	return fmt.Errorf("%w: its stack holds more than %d values", scan.ErrBudget, maxStack)
}

func (m *machine) push(v value) error {
	if len(m.stack) == cap(m.stack) && len(m.stack) > 0 {
		if err := m.growStack(); err != nil {
			return err
		}
	}
	m.stack = append(m.stack, v)
	return nil
}

func (m *machine) growStack() error {
	if len(m.stack) >= maxStack {
		return m.tooMuch()
	}
	size := 2 * len(m.stack)
	if _, err := m.place.Hold(int64(len(m.stack)) * valueSize); err != nil { // the next stream uses it too
		return err
	}
	bigger := make([]value, len(m.stack), size)
	copy(bigger, m.stack)
	m.stack = bigger
	return nil
}

func (m *machine) growMarks() error {
	size := max(2*len(m.marks), 64)
	if _, err := m.place.Hold(int64(size) * 8); err != nil {
		return err
	}
	bigger := make([]int, len(m.marks), size)
	copy(bigger, m.marks)
	m.marks = bigger
	return nil
}

func (m *machine) pushObject(o object) error {
	v, err := m.heap.object(o)
	if err != nil {
		return err
	}
	return m.push(v)
}

func (m *machine) pop() (value, error) {
	if len(m.stack) <= m.fence {
		return value{}, errUnderflow
	}
	v := m.stack[len(m.stack)-1]
	m.stack = m.stack[:len(m.stack)-1]
	return v, nil
}

func (m *machine) unmark() {
	m.marks = m.marks[:len(m.marks)-1]
	m.fence = 0
	if len(m.marks) > 0 {
		m.fence = m.marks[len(m.marks)-1]
	}
}

// popMark takes the values above the last mark. They are valid until the next
// push.
func (m *machine) popMark() ([]value, error) {
	if len(m.marks) == 0 {
		return nil, errNoMark
	}
	at := m.fence
	items := m.stack[at:]
	m.stack = m.stack[:at]
	m.unmark()
	return items, nil
}

func (m *machine) tupleOf(n int) error {
	at := len(m.stack) - n
	if at < m.fence {
		return errUnderflow
	}
	v, err := m.tuple(m.stack[at:])
	m.stack = append(m.stack[:at], v)
	return err
}

func (m *machine) markTuple() error {
	items, err := m.popMark()
	if err != nil {
		return err
	}
	v, err := m.tuple(items)
	if err != nil {
		return err
	}
	return m.push(v)
}

func (m *machine) markObject(s shape) error {
	items, err := m.popMark()
	if err != nil {
		return err
	}
	if s == aDict && len(items)%2 != 0 {
		return broken("a dict has a key without a value")
	}
	v, err := m.heap.object(object{shape: s})
	if err != nil {
		return err
	}
	if s == aDict {
		m.keys(m.heap.get(v), items)
	}
	if err := m.add(m.heap.get(v), items); err != nil {
		return err
	}
	return m.push(v)
}

// put and get share one memo, whatever opcode asks.
func (m *machine) put(i int64) error {
	if len(m.stack) <= m.fence {
		return errUnderflow
	}
	v := m.stack[len(m.stack)-1]
	v.mark |= memoSet
	if i > int64(m.memo.n)+pageSize {
		if m.sparse == nil {
			m.sparse = map[int64]value{}
		}
		if _, found := m.sparse[i]; !found {
			if err := m.take(64); err != nil {
				return err
			}
			m.filled++
		}
		m.sparse[i] = v
		return nil
	}
	for int64(m.memo.n) <= i {
		if _, err := m.memo.grow(m.place, valueSize); err != nil {
			return err
		}
	}
	slot := m.memo.at(int(i))
	if slot.mark&memoSet == 0 {
		if _, far := m.sparse[i]; !far {
			m.filled++
		}
	}
	*slot = v
	return nil
}

func (m *machine) get(i int64) error {
	var v value
	if i < int64(m.memo.n) {
		v = *m.memo.at(int(i))
	}
	if v.mark&memoSet == 0 {
		v = m.sparse[i]
	}
	if v.mark&memoSet == 0 {
		return broken(fmt.Sprintf("memo %d was never set", i))
	}
	v.mark &^= memoSet
	m.fetched(v)
	return m.push(v)
}
