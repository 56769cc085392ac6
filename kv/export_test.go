package kv

import (
	"reflect"
	"unsafe"
)

// FieldsLostByEviction returns the names of an entry's fields that a copy of it
// with another value does not have.
func FieldsLostByEviction() (lost []string) {
	e := new(Entry)
	v := reflect.ValueOf(e).Elem()
	for i := range v.NumField() {
		f := v.Field(i)
		if name := v.Type().Field(i).Name; name == "prev" || name == "value" || name == "tier" || name == "cold" || name == "held" {
			continue
		}
		b := unsafe.Slice((*byte)(unsafe.Pointer(f.UnsafeAddr())), f.Type().Size())
		b[0] = 1
	}
	c := reflect.ValueOf(e.with("", TierDisk, true)).Elem()
	for i := range v.NumField() {
		name := v.Type().Field(i).Name
		if name == "prev" || name == "value" || name == "tier" || name == "cold" || name == "held" {
			continue
		}
		size := v.Field(i).Type().Size()
		was := string(unsafe.Slice((*byte)(unsafe.Pointer(v.Field(i).UnsafeAddr())), size))
		is := string(unsafe.Slice((*byte)(unsafe.Pointer(c.Field(i).UnsafeAddr())), size))
		if was != is {
			lost = append(lost, name)
		}
	}
	return lost
}
