// Package hugepages has the kernel back a process's memory by huge pages where all of
// it is in use.
//
// A store of many keys is read at random: with pages of 4 KiB nearly every read
// misses the processor's cache of addresses (TLB) too, and under a hypervisor such
// a miss costs as much as one or two from memory. Most systems give huge pages
// only to memory for which they were asked (transparent_hugepage is madvise), and
// Go's heap is not.
//
// MADV_HUGEPAGE, which asks for them ahead, would take 2 MiB for each page touched,
// and again for what the collector has given back. So memory is copied to huge
// pages (MADV_COLLAPSE, Linux 6.1) once nearly all of such a piece is in use
// anyway. Where that is not possible everything stays as it is.
package hugepages
