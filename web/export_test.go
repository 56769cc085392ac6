package web

// What the tests outside look at directly.
var (
	ParseBatch    = parseBatch
	ParseDuration = parseDuration
	AppendString  = appendString
)
