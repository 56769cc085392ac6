package web

import "keywatch/auth"

// newDoor returns the door to the store and the hub that a server was given. Nothing else of this
// package uses them.
func newDoor(o *Options) *auth.Door {
	door := auth.NewDoor(o.Store, o.Hub, o.Auth)
	if o.Auth == nil && o.OpenUntil != nil {
		door.OpenUntil(o.OpenUntil)
	}
	return door
}

// view returns the store and the hub as the request's caller may use them.
func (r *request) view() auth.View {
	v := r.s.door.As(r.who)
	if r.s.door.AuditsWrites() {
		v = v.From(&auth.Origin{Wire: "HTTP", Address: string(r.callerName())})
	}
	return v
}
