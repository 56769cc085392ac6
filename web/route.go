package web

import "strings"

// A route is a place that requests can name. The zero route is none.
type route uint8

const (
	routeNone route = iota
	routeKey
	routeKeys
	routeCAS
	routeAdd
	routeTouch
	routeBatch
	routeWatch
	routeSocket
	routeHealth
	routeReady
	routeStatus
	routeMetrics
	routeOpenAPI
	routeCheckpoint
	routeCompact
	routeMigrate
	routeBackup
	routeCluster
	routePromote
	routeRemove
	routeTransfer
	routeLeases
	routeLease
	routeLeaseKeep
	routeLock
	routeLockKeep
	routeLogin
	routeRenew
	routeLogout
	routeWhoami
	routePassword
	routeTickets
	routeUsers
	routeUser
	routeRoles
	routeRole
	routeAPIKeys
	routeAPIKey
	routeSessions
	routeSession
	routeRotate
	routePage
	routeServer
	routes
)

// routeNames label metrics and logs.
var routeNames = [routes]string{
	"none", "key", "keys", "cas", "add", "touch", "batch", "watch", "ws", "healthz", "readyz", "status",
	"metrics", "openapi", "checkpoint", "compact", "migrate", "backup",
	"cluster", "promote", "remove", "transfer",
	"leases", "lease", "lease_keepalive", "lock", "lock_keepalive",
	"login", "renew", "logout", "whoami", "password", "tickets",
	"users", "user", "roles", "role", "api_keys", "api_key", "sessions", "session", "rotate",
	"page", "server",
}

// The paths of the routes that name no key; those of a key begin with a prefix.
const (
	pathKeys    = "/v1/kv"
	prefixKey   = "/v1/kv/"
	prefixCAS   = "/v1/cas/"
	prefixAdd   = "/v1/add/"
	prefixTouch = "/v1/touch/"
	pathBatch   = "/v1/batch"
	pathWatch   = "/v1/watch"
	pathSocket  = "/v1/ws"
	pathStatus  = "/v1/status"
	// pathCluster is that of the members; those who change them are below it.
	pathCluster = "/v1/cluster"
	pathAPI     = "/v1/openapi.yaml"
	// pathServer stands for the server as a whole.
	pathServer = "*"
)

// methods is a set of methods.
type methods uint8

const (
	methodGet methods = 1 << iota
	methodHead
	methodPut
	methodPost
	methodDelete
	methodOptions
)

var methodNames = []struct {
	bit  methods
	name string
}{
	{methodGet, "GET"}, {methodHead, "HEAD"}, {methodPut, "PUT"},
	{methodPost, "POST"}, {methodDelete, "DELETE"}, {methodOptions, "OPTIONS"},
}

// methodOf returns the bit of a method, 0 if no route has it.
func methodOf(name []byte) methods {
	for _, m := range methodNames {
		if string(name) == m.name {
			return m.bit
		}
	}
	return 0
}

// String lists the methods as the Allow header does.
func (m methods) String() string {
	var names []string
	for _, n := range methodNames {
		if m&n.bit != 0 {
			names = append(names, n.name)
		}
	}
	return strings.Join(names, ", ")
}

// allowed has the methods of each route.
var allowed = [routes]methods{
	routeKey:        methodGet | methodHead | methodPut | methodDelete | methodOptions,
	routeKeys:       methodGet | methodHead | methodDelete | methodOptions,
	routeCAS:        methodPost | methodOptions,
	routeAdd:        methodPost | methodOptions,
	routeTouch:      methodPost | methodOptions,
	routeBatch:      methodPost | methodOptions,
	routeWatch:      methodGet | methodPost | methodOptions,
	routeSocket:     methodGet | methodOptions,
	routeHealth:     methodGet | methodHead | methodOptions,
	routeReady:      methodGet | methodHead | methodOptions,
	routeStatus:     methodGet | methodHead | methodOptions,
	routeMetrics:    methodGet | methodHead | methodOptions,
	routeOpenAPI:    methodGet | methodHead | methodOptions,
	routeCheckpoint: methodPost | methodOptions,
	routeCompact:    methodPost | methodOptions,
	routeMigrate:    methodPost | methodOptions,
	routeBackup:     methodGet | methodOptions,
	routeCluster:    methodGet | methodHead | methodOptions,
	routePromote:    methodPost | methodOptions,
	routeRemove:     methodPost | methodOptions,
	routeTransfer:   methodPost | methodOptions,
	routeLeases:     methodPost | methodOptions,
	routeLease:      methodGet | methodHead | methodDelete | methodOptions,
	routeLeaseKeep:  methodPost | methodOptions,
	routeLock:       methodGet | methodHead | methodPost | methodDelete | methodOptions,
	routeLockKeep:   methodPost | methodOptions,
	routeLogin:      methodPost | methodOptions,
	routeRenew:      methodPost | methodOptions,
	routeLogout:     methodPost | methodOptions,
	routeWhoami:     methodGet | methodHead | methodOptions,
	routePassword:   methodPut | methodOptions,
	routeTickets:    methodPost | methodOptions,
	routeUsers:      methodGet | methodHead | methodPost | methodOptions,
	routeUser:       methodGet | methodHead | methodPut | methodDelete | methodOptions,
	routeRoles:      methodGet | methodHead | methodOptions,
	routeRole:       methodGet | methodHead | methodPut | methodDelete | methodOptions,
	routeAPIKeys:    methodGet | methodHead | methodPost | methodOptions,
	routeAPIKey:     methodGet | methodHead | methodDelete | methodOptions,
	routeSessions:   methodGet | methodHead | methodOptions,
	routeSession:    methodDelete | methodOptions,
	routeRotate:     methodPost | methodOptions,
	routePage:       methodGet | methodHead | methodOptions,
	routeServer:     methodGet | methodHead | methodPut | methodPost | methodDelete | methodOptions,
}

// match returns the route of an undecoded path, and what follows the prefix of
// a route that names a key.
func match(path []byte) (r route, rest []byte) {
	if len(path) > len(prefixKey) && string(path[:len(prefixKey)]) == prefixKey {
		return routeKey, path[len(prefixKey):]
	}
	switch string(path) {
	case pathKeys:
		return routeKeys, nil
	case pathBatch:
		return routeBatch, nil
	case pathWatch:
		return routeWatch, nil
	case pathSocket:
		return routeSocket, nil
	case "/healthz":
		return routeHealth, nil
	case "/readyz":
		return routeReady, nil
	case pathStatus:
		return routeStatus, nil
	case "/metrics":
		return routeMetrics, nil
	case pathAPI:
		return routeOpenAPI, nil
	case "/v1/admin/checkpoint":
		return routeCheckpoint, nil
	case "/v1/admin/compact":
		return routeCompact, nil
	case "/v1/admin/migrate":
		return routeMigrate, nil
	case "/v1/admin/backup":
		return routeBackup, nil
	case pathCluster:
		return routeCluster, nil
	case pathCluster + "/promote":
		return routePromote, nil
	case pathCluster + "/remove":
		return routeRemove, nil
	case pathCluster + "/transfer":
		return routeTransfer, nil
	case prefixKey:
		return routeKey, nil
	case pathServer:
		return routeServer, nil
	}
	for _, p := range [...]struct {
		prefix string
		route  route
	}{{prefixCAS, routeCAS}, {prefixAdd, routeAdd}, {prefixTouch, routeTouch}} {
		if len(path) >= len(p.prefix) && string(path[:len(p.prefix)]) == p.prefix {
			return p.route, path[len(p.prefix):]
		}
	}
	if isPage(path) {
		return routePage, nil
	}
	if r, rest := matchAccount(path); r != routeNone {
		return r, rest
	}
	return matchLease(path)
}

// account reports whether the route is about users, roles and credentials.
func (r route) account() bool { return r >= routeLogin && r <= routeRotate }

// offers reports whether the operator's routes that s was given include r.
func (s *Server) offers(r route) bool {
	switch r {
	case routeCheckpoint:
		return s.opts.Admin.Checkpoint != nil
	case routeCompact:
		return s.opts.Admin.Compact != nil
	case routeMigrate:
		return s.opts.Admin.Migrate != nil
	case routeBackup:
		return s.opts.Admin.Backup != nil
	case routeCluster:
		return s.opts.Cluster.Document != nil
	case routePromote, routeRemove, routeTransfer:
		return s.opts.Cluster.Change != nil
	}
	return r != routeNone && (!r.account() || s.opts.Accounts != nil)
}
