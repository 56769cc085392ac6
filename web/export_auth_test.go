package web

// Routes returns the methods of each route by its name, but for OPTIONS.
func Routes() map[string][]string {
	all := make(map[string][]string)
	for r := routeNone + 1; r < routes; r++ {
		for _, m := range methodNames {
			if allowed[r]&m.bit != 0 && m.bit != methodOptions {
				all[routeNames[r]] = append(all[routeNames[r]], m.name)
			}
		}
	}
	return all
}

// RouteOf returns the name of the route that a path has.
func RouteOf(path string) string {
	r, _ := match([]byte(path))
	return routeNames[r]
}

// NeedsNothing reports whether a route lets everyone in.
func NeedsNothing(name string) bool {
	for r, known := range routeNames {
		if known == name {
			return needs[r].kind == needNothing
		}
	}
	return false
}

// Credential returns the secret in a value of Authorization, SessionCookie that in a value of Cookie.
func Credential(value []byte) ([]byte, bool)     { return credential(value) }
func SessionCookie(value []byte) ([]byte, error) { return cookie(value) }
