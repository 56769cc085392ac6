// Package sim runs a whole cluster in one goroutine: cores and their storage as a server has
// them, over a network, disks, appliers and clocks that fail, all stepped from one seed. So a
// seed is a history, and one that ends badly can be told again.
//
// A [Cluster] is what a test moves by hand. A [History] moves one at random: first in a storm, of
// which every history draws its own weather, and then in calm, in which the cluster must make
// progress. Judges look on at each step. Only tests import this package.
package sim
