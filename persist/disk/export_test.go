package disk

import (
	"bytes"
	"fmt"
	"hash/crc32"
)

// Resummed returns a store file with the checksum of what it holds.
func Resummed(b []byte) []byte {
	end := bytes.LastIndex(b[:len(b)-1], []byte("\n")) + 1
	return fmt.Appendf(b[:end:end], "sum %08x\n", crc32.Checksum(b[:end], castagnoli))
}
