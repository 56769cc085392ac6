package web

import (
	"reflect"
	"slices"
	"testing"
	"unsafe"
)

// If this failed, a request would begin with what another one has left in its record: a read barrier
// that is not its own, or another caller.
func TestReleaseForgets(t *testing.T) {
	// These are overwritten before they are read, or emptied.
	kept := []string{"s", "head", "params", "caller", "decoded", "out", "kept", "borrowed", "class", "mayFetch", "came", "num"}
	r := &request{s: new(Server)}
	fields := reflect.ValueOf(r).Elem()
	field := func(i int) (string, reflect.Value) {
		f := fields.Field(i)
		return fields.Type().Field(i).Name, reflect.NewAt(f.Type(), unsafe.Pointer(f.UnsafeAddr())).Elem()
	}
	for i := range fields.NumField() {
		if name, f := field(i); !slices.Contains(kept, name) {
			if scribble(f); f.IsZero() {
				t.Fatalf("nothing is written to %s, a %s", name, f.Type())
			}
		}
	}
	r.s.release(r)
	for i := range fields.NumField() {
		if name, f := field(i); !slices.Contains(kept, name) && !f.IsZero() {
			t.Errorf("%s is left to the next request: %v", name, f)
		}
	}
	if len(r.caller)+len(r.decoded)+len(r.out)+len(r.params.names)+int(r.head.present) != 0 {
		t.Error("buffers of the request are not empty")
	}
}

// scribble makes v another value than zero.
func scribble(v reflect.Value) {
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(true)
	case reflect.String:
		v.SetString("x")
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(1)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(1)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
	case reflect.Func:
		v.Set(reflect.MakeFunc(v.Type(), func([]reflect.Value) []reflect.Value { panic("called") }))
	case reflect.Array:
		scribble(v.Index(0))
	case reflect.Struct:
		for i := range v.NumField() {
			f := v.Field(i)
			scribble(reflect.NewAt(f.Type(), unsafe.Pointer(f.UnsafeAddr())).Elem())
		}
	}
}
