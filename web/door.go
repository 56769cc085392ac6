package web

import (
	"keywatch/auth"
	"keywatch/kv"
	"keywatch/watch"
)

// newDoor returns the door to the store and the hub that a server was given. Nothing else of this
// package uses them.
func newDoor(o *Options) *auth.Door { return auth.NewDoor(o.Store, o.Hub, o.Auth) }

// view returns the store and the hub as the request's caller may use them.
func (r *request) view() auth.View { return r.s.door.As(r.who) }

// undoored returns the store and the hub themselves, for a protocol whose clients prove nothing. Where
// callers have to, ServeRESP refuses.
func undoored(o *Options) (*kv.Store, *watch.Hub) { return o.Store, o.Hub }
