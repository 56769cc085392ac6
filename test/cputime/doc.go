// Package cputime measures the processor time that this process has used. Unlike the
// elapsed time it hardly depends on what else the machine does.
package cputime
