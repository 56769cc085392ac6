// Package examples has programs, scripts and pages to start from; README.md says
// what each shows. Its tests run all of them against a real server.
package examples
