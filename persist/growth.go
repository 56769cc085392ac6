package persist

// Bounds on how much the checkpoint file grows at once. What a growth leaves unused
// is not given back; each costs an fsync.
const (
	leastGrowth = 256 << 10
	mostGrowth  = 16 << 20
	// growthShare is the part of the file, one in growthShare, that it grows by.
	growthShare = 16
)

// growth returns by how much a file of size bytes grows.
func growth(size int64) int {
	return int(min(max(size/growthShare, leastGrowth), mostGrowth))
}

// plan sets how much the file grows the next time that it must. It belongs to the
// one who writes to the file.
func (b *boltFile) plan() error {
	info, err := b.file.Stat()
	if err == nil {
		b.AllocSize = growth(info.Size())
	}
	return err
}
