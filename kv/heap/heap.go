// Package heap has a binary heap of any type.
package heap

import "slices"

// A Heap gives its elements back by the order of less, the least first. It is not safe
// for concurrent use.
type Heap[T any] struct {
	items []T
	less  func(a, b T) bool
	moved func(x T, at int)
}

// New returns an empty heap. moved, if not nil, is told at which index an element is
// whenever that changes, and -1 once it was removed; Fix and Remove take that index.
func New[T any](less func(a, b T) bool, moved func(x T, at int)) Heap[T] {
	return Heap[T]{less: less, moved: moved}
}

const (
	// fitLeast is the capacity from which on a heap that has become fitShare times smaller
	// gives its memory back.
	fitLeast, fitShare = 4096, 16
)

// Len returns the number of elements.
func (h *Heap[T]) Len() int { return len(h.items) }

// Min returns the least element. The heap must not be empty.
func (h *Heap[T]) Min() T { return h.items[0] }

// Up calls more for the elements, the least first, the others in no order, but for those
// that come after one for which it returned false. If more is true for the elements up to a
// place in the order, it is called for hardly more than those. It must not change the heap.
func (h *Heap[T]) Up(more func(T) bool) { h.upFrom(0, more) }

func (h *Heap[T]) upFrom(i int, more func(T) bool) {
	for ; i < len(h.items) && more(h.items[i]); i = 2*i + 1 {
		h.upFrom(2*i+2, more)
	}
}

// Push adds x.
func (h *Heap[T]) Push(x T) {
	h.items = append(h.items, x)
	h.up(len(h.items)-1, x)
}

// Pop removes and returns the least element. The heap must not be empty.
func (h *Heap[T]) Pop() T { return h.Remove(0) }

// Remove removes and returns the element at index i.
func (h *Heap[T]) Remove(i int) T {
	var none T
	n := len(h.items) - 1
	x, last := h.items[i], h.items[n]
	h.items[n] = none
	h.items = h.items[:n]
	if cap(h.items) > fitLeast && n < cap(h.items)/fitShare {
		h.items = slices.Clone(h.items)
	}
	if i < n {
		h.settle(i, last)
	}
	if h.moved != nil {
		h.moved(x, -1)
	}
	return x
}

// Fix puts the element at index i, whose order has changed, where it belongs.
func (h *Heap[T]) Fix(i int) { h.settle(i, h.items[i]) }

// Replace puts x in the place of the element at index i.
func (h *Heap[T]) Replace(i int, x T) { h.settle(i, x) }

// settle puts x, whose place is free at i, where it belongs.
func (h *Heap[T]) settle(i int, x T) {
	if i > 0 && h.less(x, h.items[(i-1)/2]) {
		h.up(i, x)
		return
	}
	h.down(i, x)
}

func (h *Heap[T]) up(i int, x T) {
	for i > 0 {
		parent := (i - 1) / 2
		if !h.less(x, h.items[parent]) {
			break
		}
		h.put(i, h.items[parent])
		i = parent
	}
	h.put(i, x)
}

func (h *Heap[T]) down(i int, x T) {
	for {
		child := 2*i + 1
		if child >= len(h.items) {
			break
		}
		if child+1 < len(h.items) && h.less(h.items[child+1], h.items[child]) {
			child++
		}
		if !h.less(h.items[child], x) {
			break
		}
		h.put(i, h.items[child])
		i = child
	}
	h.put(i, x)
}

func (h *Heap[T]) put(i int, x T) {
	h.items[i] = x
	if h.moved != nil {
		h.moved(x, i)
	}
}
