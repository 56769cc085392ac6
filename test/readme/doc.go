// Package readme holds the tests that do what README.md and examples/README.md
// show: every block of commands is read from the text, in order, and run as a
// newcomer would paste it, in a clean home and folder, against the real command.
// Only addresses are others, so that tests can run beside each other. A block that
// the tests do not know makes them fail, so what is written stays true.
package readme
