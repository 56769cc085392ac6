package web

import "keywatch/auth"

// newDoor returns the door to the store and the hub that a server was given. Nothing else of this
// package uses them.
func newDoor(o *Options) *auth.Door { return auth.NewDoor(o.Store, o.Hub, o.Auth) }

// view returns the store and the hub as the request's caller may use them.
func (r *request) view() auth.View { return r.s.door.As(r.who) }
