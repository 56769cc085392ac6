package kv

// A fault is a mistake that a build with the tag keywatchfault can make, so that it shows whether the judges of a
// cluster find it.
type fault string

// The faults. Nodes that make the same are equal.
const (
	// unfenced runs what fences should keep from running.
	unfenced fault = "fences that do not hold"
	// repeated runs a request again that is sent again.
	repeated fault = "a request that runs again"
	// unrenewed has leases end as if they had not been renewed.
	unrenewed fault = "leases that are not renewed"
	// belated has keys end later than their TTL says, by belatedBy.
	belated fault = "keys that end late"
	// emptied keeps nothing of the value of a write, at one revision in emptiedEvery.
	emptied fault = "values that are lost"
)

const (
	// belatedBy is in milliseconds.
	belatedBy    = 3000
	emptiedEvery = 4
)

// faultyAt tells whether f strikes at a revision.
func faultyAt(f fault, rev Rev) bool { return rev%emptiedEvery == 0 && faulty(f) }
