package main

// fenced is a write that can be made depend on a lock.
type fenced struct {
	Fence string `help:"Only while these locks are held under these tokens: NAME=TOKEN[,...]; keywatch lock sets it." placeholder:"FENCE" env:"KEYWATCH_FENCE"`
}

// set makes r depend on the fence, if there is one.
func (f *fenced) set(r *request) {
	if f.Fence != "" {
		r.header.Set("If-Fence", f.Fence)
	}
}
