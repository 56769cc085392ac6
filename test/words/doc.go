// Package words keeps what people read in plain words: the strings of the code (errors, log
// lines, help), README and the other documents, what the browser loads, and the comments of
// most packages. Its test fails on words and phrases that readers stumbled over;
// `go test ./test/words` runs it alone.
package words
