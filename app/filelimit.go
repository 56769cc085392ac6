package app

// reservedFiles are the descriptors that are left for everything but clients.
const reservedFiles = 512

// maxFiles returns how many connections there may be; 0 if nothing bounds them.
func (c ServeConfig) maxFiles() int {
	switch limit := openFiles(); {
	case c.MaxFiles > 0:
		return c.MaxFiles
	case limit == 0:
		return 0
	default:
		return max(limit-reservedFiles, 64)
	}
}
